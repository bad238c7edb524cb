"""Redis makes pages faster and nothing depends on it: it is killed, stalled and emptied here, under both layers."""

from __future__ import annotations

import asyncio

import pytest
from channels.layers import channel_layers

from payments import health
from payments.documents import load_facts
from realtime import broadcast, layer
from realtime.database import read
from realtime.listener import listener
from realtime.tests.conftest import new_redis_layer
from realtime.tests.sockets import change_elsewhere, complete, complete_elsewhere, new_payment, watching
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("on_redis")


async def _opened(socket) -> None:
    assert (await socket.receive_json_from())["version"] == 1


async def test_a_change_of_another_process_travels_through_redis():
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        await complete_elsewhere(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_a_command_reaches_the_pages_of_a_server():
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        broadcast.bind_server_loop(None)  # a command has no server's loop and makes one of its own
        await complete(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_a_socket_opens_and_is_served_while_redis_is_away(redis_server, running_tailer):
    redis_server.kill()
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        await complete_elsewhere(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_a_socket_outlives_redis_and_the_tailer_takes_over(redis_server, running_tailer):
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        redis_server.kill()
        await complete(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_pushes_flow_again_when_redis_is_back(redis_server):
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        redis_server.kill()
        for _ in range(4):
            await complete(await new_payment())
            await asyncio.sleep(0.5)
        assert not layer.breaker_of(0).allows()
        redis_server.start()
        layer.breaker_of(0)._closed_until = 0.0  # the pause is over
        await listener().refresh()  # as every 15 s: a queue's groups were lost with Redis
        await _heard_of(payment, socket)


async def test_a_socket_that_opened_without_redis_hears_it_later(redis_server):
    redis_server.kill()
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        redis_server.start()
        layer.forget_failures()
        await listener().refresh()
        await _heard_of(payment, socket)


async def test_a_stalled_redis_is_given_up_and_no_callback_waits_for_it(redis_server, running_tailer):
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        redis_server.stall()
        await complete(payment)
        assert broadcast._in_flight
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*broadcast._in_flight)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"
        redis_server.resume()


async def test_a_socket_opens_while_redis_is_stalled(redis_server):
    redis_server.stall()
    async with asyncio.timeout(PATIENCE), watching(await new_payment()) as socket:
        await _opened(socket)
    redis_server.resume()


async def test_no_socket_stays_deaf_after_redis_was_emptied(redis_server):
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        redis_server.call("FLUSHALL")
        redis_server.call("CLIENT", "KILL", "TYPE", "pubsub")
        redis_server.call("CLIENT", "KILL", "TYPE", "normal")
        await listener().refresh()
        await _heard_of(payment, socket)


async def test_readiness_names_the_layer_while_redis_is_away(redis_server):
    assert "channel_layer" not in await read(health.not_ready)
    redis_server.kill()
    assert "channel_layer" in await read(health.not_ready)


async def test_two_deployments_on_one_redis_do_not_hear_each_other(redis_server, layer_kind):
    payment = await new_payment()
    other = new_redis_layer(layer_kind, redis_server, secret="another deployment's")
    async with watching(payment) as socket:
        await _opened(socket)
        ours = channel_layers.set("default", other)
        await complete_elsewhere(payment)
        await asyncio.sleep(0.1)
        channel_layers.set("default", ours)
        assert await socket.receive_nothing(timeout=0.3)
    await other.flush()


async def test_a_page_left_is_a_group_left_at_the_next_refresh(redis_server):
    payment = await new_payment()
    async with watching(payment) as socket:
        await _opened(socket)
        assert payment.pk in listener()._joined
    await listener().refresh()
    assert payment.pk not in listener()._joined


async def _heard_of(payment, socket) -> None:
    """Announce new versions until the page hears one through Redis; its reconnection takes a moment."""
    for _ in range(20):
        await change_elsewhere(payment.pk)
        facts = await read(load_facts, payment.pk)
        await layer.send(layer.group_name(payment.pk), {"type": "payment.changed", "version": 2, "facts": facts})
        if not await socket.receive_nothing(timeout=0.25):
            break
    assert (await socket.receive_json_from())["version"] > 1


@pytest.mark.long
async def test_twenty_idle_sockets_survive_thirty_seconds_on_redis():
    """redis-py's own default timeout equals the layer's blocking read and would end idle consumers every 5 s."""
    payments = [await new_payment() for _ in range(20)]
    contexts = [watching(payment, address=f"10.0.1.{n}") for n, payment in enumerate(payments)]
    sockets = [await context.__aenter__() for context in contexts]
    for socket in sockets:
        await _opened(socket)
    await asyncio.sleep(30)
    for socket, payment in zip(sockets, payments, strict=True):
        await complete_elsewhere(payment)
        messages = [await socket.receive_json_from() for _ in range(2 + 1)]
        assert [message.get("type") for message in messages[:2]] == ["ping", "ping"]
        assert messages[2]["status"] == "COMPLETED"
    for context in contexts:
        await context.__aexit__(None, None, None)
