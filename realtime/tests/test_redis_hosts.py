"""Several Redis hosts share the groups between them; one that is away takes only its own share of the pushes along."""

from __future__ import annotations

import asyncio

import pytest

from payments import health
from realtime import layer
from realtime.database import read
from realtime.tests.conftest import new_redis_layer, using_redis
from realtime.tests.sockets import complete, new_payment, watching


@pytest.fixture
async def on_two_hosts(layer_kind, redis_server, second_redis_server, server_loop):
    async with using_redis(new_redis_layer(layer_kind, redis_server, second_redis_server)) as fresh:
        yield fresh


async def _on_each_host(channel_layer):
    """Return a payment whose group lies on the first host, and one whose group lies on the second."""
    found = {}
    while len(found) < 2:
        payment = await new_payment()
        found.setdefault(_host_of(channel_layer, layer.group_name(payment.pk)), payment)
    return [found[host] for host in sorted(found)]


def _host_of(channel_layer, group):
    host = layer._host_of(channel_layer, group)
    return host if isinstance(host, int) else channel_layer._shards.index(host)


async def test_pushes_travel_through_either_host(on_two_hosts):
    for payment in await _on_each_host(on_two_hosts):
        async with watching(payment) as socket:
            assert (await socket.receive_json_from(timeout=5))["version"] == 1
            await complete(payment)
            assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_with_one_host_away_every_page_still_converges(on_two_hosts, second_redis_server, running_tailer):
    payments = await _on_each_host(on_two_hosts)
    async with watching(payments[0]) as first, watching(payments[1]) as second:
        for socket in (first, second):
            assert (await socket.receive_json_from(timeout=5))["version"] == 1
        second_redis_server.kill()
        for payment in payments:
            await complete(payment)
        for socket in (first, second):
            assert (await socket.receive_json_from(timeout=3))["status"] == "COMPLETED"


@pytest.mark.parametrize("away", [0, 1])
async def test_readiness_asks_every_host(on_two_hosts, redis_server, second_redis_server, away):
    assert "channel_layer" not in await read(health.not_ready)
    [redis_server, second_redis_server][away].kill()
    assert "channel_layer" in await read(health.not_ready)


@pytest.mark.parametrize("hosts", [1, 2, 3, 4, 5])
async def test_each_of_many_hosts_is_probed(layer_kind, redis_server, hosts):
    many = new_redis_layer(layer_kind, *[redis_server] * hosts)
    groups = layer.probe_groups(many)
    assert sorted(_host_of(many, group) for group in groups) == list(range(hosts))
    await asyncio.sleep(0)
