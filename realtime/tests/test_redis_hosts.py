"""Several Redis hosts share the groups between them; one that is away takes only its own share of the pushes along."""

from __future__ import annotations

import asyncio

import pytest

from payments import health
from realtime import broadcast, layer, tailer
from realtime.breaker import FAILURES
from realtime.database import read
from realtime.listener import listener
from realtime.tests.conftest import new_redis_layer, using_redis
from realtime.tests.sockets import complete_elsewhere, new_payment, watching


@pytest.fixture
async def on_two_hosts(layer_kind, redis_server, second_redis_server, server_loop):
    async with using_redis(new_redis_layer(layer_kind, redis_server, second_redis_server)) as fresh:
        yield fresh


async def _on_each_host(channel_layer):
    """Return a payment whose group lies on the first host, and one whose group lies on the second."""
    found = {}
    while len(found) < 2:
        payment = await new_payment()
        found.setdefault(layer.host_of(channel_layer, layer.group_name(payment.pk)), payment)
    return [found[host] for host in sorted(found)]


async def test_pushes_travel_through_either_host(on_two_hosts):
    for payment in await _on_each_host(on_two_hosts):
        async with watching(payment) as socket:
            assert (await socket.receive_json_from())["version"] == 1
            await complete_elsewhere(payment)
            assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_with_one_host_away_every_page_still_converges(on_two_hosts, second_redis_server, running_tailer):
    payments = await _on_each_host(on_two_hosts)
    async with watching(payments[0]) as first, watching(payments[1]) as second:
        for socket in (first, second):
            assert (await socket.receive_json_from())["version"] == 1
        second_redis_server.kill()
        for payment in payments:
            await complete_elsewhere(payment)
        for socket in (first, second):
            assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_a_dead_host_cuts_off_nobody_on_the_living_one(on_two_hosts, redis_server, second_redis_server):
    payments = await _on_each_host(on_two_hosts)
    async with watching(payments[0]) as first, watching(payments[1]) as second:
        sockets = (first, second)
        for socket in sockets:
            assert (await socket.receive_json_from())["version"] == 1
        living = _where_this_process_hears(on_two_hosts)
        dead = 1 - living
        [redis_server, second_redis_server][dead].kill()
        for _ in range(FAILURES):
            assert not await layer.send(layer.group_name(payments[dead].pk), {"type": "probe"})
        assert [layer.breaker_of(host).allows() for host in (living, dead)] == [True, False]
        for payment in payments:
            await complete_elsewhere(payment)
        assert (await sockets[living].receive_json_from())["status"] == "COMPLETED"
        assert await sockets[dead].receive_nothing(timeout=0.3)
        await tailer.Tailer().catch_up()
        assert (await sockets[dead].receive_json_from())["status"] == "COMPLETED"


def _where_this_process_hears(channel_layer):
    """Return the host that must live for this process to hear anything: with queues, the one that its own lies on."""
    if not hasattr(channel_layer, "non_local_name"):
        return 0
    return channel_layer.consistent_hash(channel_layer.non_local_name(listener().channel))


async def test_a_board_hears_of_what_lies_on_a_dead_host(on_two_hosts, monkeypatch):
    """The board's own group lies on one host, so what has failed on another says nothing about it."""
    payments = await _on_each_host(on_two_hosts)
    sent = []

    async def send(group, message):
        sent.append(group)
        return group == layer.BOARD_GROUP

    monkeypatch.setattr(layer, "send", send)
    boards = layer.host_of(on_two_hosts, layer.BOARD_GROUP)
    for payment in (payments[boards], payments[1 - boards]):
        await broadcast._send_everywhere({"transaction_id": str(payment.pk), "version": 1})
    groups = [layer.group_name(payments[host].pk) for host in (boards, 1 - boards)]
    assert sent == [*groups, layer.BOARD_GROUP]


@pytest.mark.parametrize("away", [0, 1])
async def test_readiness_asks_every_host(on_two_hosts, redis_server, second_redis_server, away):
    assert "channel_layer" not in await read(health.not_ready)
    [redis_server, second_redis_server][away].kill()
    assert "channel_layer" in await read(health.not_ready)


@pytest.mark.parametrize("hosts", [1, 2, 3, 4, 5])
async def test_each_of_many_hosts_is_probed(layer_kind, redis_server, hosts):
    many = new_redis_layer(layer_kind, *[redis_server] * hosts)
    groups = layer.probe_groups(many)
    assert sorted(layer.host_of(many, group) for group in groups) == list(range(hosts))
    await asyncio.sleep(0)
