from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from realtime import live_socket
from realtime.audience import audience
from realtime.tests.sockets import complete, new_payment, watching

pytestmark = pytest.mark.usefixtures("server_loop")


def test_a_heartbeat_leaves_every_fifteen_seconds():
    assert live_socket.HEARTBEAT_SECONDS == 15


async def test_heartbeats_carry_the_version_that_was_sent_last(monkeypatch):
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.1)
    payment = await new_payment()
    async with watching(payment) as socket:
        assert (await socket.receive_json_from())["version"] == 1
        assert await socket.receive_json_from() == {"type": "ping", "version": 1}
        await complete(payment)
        while (message := await socket.receive_json_from()).get("type") == "ping":
            assert message["version"] == 1
        assert message["version"] == 2
        assert await socket.receive_json_from() == {"type": "ping", "version": 2}


async def test_heartbeats_do_not_drift(monkeypatch):
    """Each is due one interval after the last was due, however late that one left."""
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.02)
    payment, due = await new_payment(), []
    async with watching(payment) as socket:
        await socket.receive_json_from()
        (page,) = audience._watchers[payment.pk]
        for _ in range(10):
            await socket.receive_json_from()
            due.append(page._timer.when())
            time.sleep(0.01)  # noqa: ASYNC251 - a loop that is busy
    steps = [later - earlier for earlier, later in pairwise(due)]
    assert steps == pytest.approx([0.02] * 9)


async def test_a_page_on_the_fragment_gets_the_same_heartbeat(monkeypatch):
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.05)
    async with watching(await new_payment(), query="") as socket:
        await socket.receive_from()
        assert await socket.receive_json_from() == {"type": "ping", "version": 1}


async def test_a_very_old_socket_is_asked_to_come_back(monkeypatch):
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(live_socket, "LIFETIME_SECONDS", 0.05)
    monkeypatch.setattr(live_socket, "LIFETIME_JITTER_SECONDS", 0.01)
    async with watching(await new_payment()) as socket:
        message = await socket.receive_output()
        while message["type"] == "websocket.send":
            message = await socket.receive_output()
        assert message == {"type": "websocket.close", "code": 4000}
        assert await socket.receive_nothing()


def test_our_own_end_comes_before_daphnes_which_would_say_never_come_back():
    assert live_socket.LIFETIME_SECONDS + live_socket.LIFETIME_JITTER_SECONDS < 86_400


async def test_each_heartbeat_gives_the_page_new_messages(monkeypatch):
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.05)
    async with watching(await new_payment()) as socket:
        await socket.receive_json_from()
        for _ in range(3):
            for _ in range(live_socket.MESSAGES_PER_HEARTBEAT):
                await socket.send_json_to({"seen": 1})
            await asyncio.sleep(0.06)
        while not await socket.receive_nothing(timeout=0.01):
            assert (await socket.receive_json_from())["type"] == "ping"


@pytest.mark.parametrize(
    ("error", "is_reported"),
    [
        (OSError(), False),
        (RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."), False),
        (RuntimeError("something of ours"), True),
    ],
)
async def test_a_reader_who_has_gone_is_let_go_without_a_word(error, is_reported):
    """A stranger's broken frame makes uvicorn close the socket between two of ours; only our own faults are logged."""
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        (page,) = audience._watchers[payment.pk]

        async def fail(message):
            raise error

        page.base_send = fail
        with capture_logs() as logs:
            page.beat()
        assert page._is_over
        assert [log["event"] for log in logs] == ["socket.write_failed"] * is_reported
