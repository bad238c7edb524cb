"""A change that falls between the parts of opening a socket: joining the group, reading the row, sending it."""

from __future__ import annotations

import pytest

from payments.documents import load_facts_of
from realtime import snapshots
from realtime.database import read
from realtime.listener import Listener
from realtime.tests.sockets import complete_elsewhere, new_payment, watching

pytestmark = pytest.mark.usefixtures("server_loop")  # and no tailer, which would find what was missed


async def _newest(socket) -> str:
    """Return the status that the page ends on."""
    status = (await socket.receive_json_from())["status"]
    while not await socket.receive_nothing(timeout=0.3):
        status = (await socket.receive_json_from())["status"]
    return status


async def test_a_change_before_the_read_is_shown(monkeypatch):
    payment = await new_payment()

    async def change_then_read(function, *args):
        await complete_elsewhere(payment)
        return await read(function, *args)

    monkeypatch.setattr(snapshots, "read", change_then_read)
    async with watching(payment) as socket:
        assert await _newest(socket) == "COMPLETED"


async def test_a_change_after_the_read_and_before_the_send_is_shown(monkeypatch):
    payment = await new_payment()

    async def read_then_change(function, *args):
        facts = await read(function, *args)
        await complete_elsewhere(payment)
        return facts

    monkeypatch.setattr(snapshots, "read", read_then_change)
    async with watching(payment) as socket:
        assert await _newest(socket) == "COMPLETED"


async def test_the_same_change_would_be_missed_if_the_group_were_joined_after_the_read(monkeypatch):
    """The test of the test: with the order turned round, the page stays on the old state."""
    payment = await new_payment()
    join = Listener.join

    async def read_change_and_only_then_join(function, *args):
        facts = await read(load_facts_of, [payment.pk])
        await complete_elsewhere(payment)
        await join(snapshots.listener(), payment.pk)
        return facts

    async def not_yet(self, *transaction_ids):
        pass

    monkeypatch.setattr(Listener, "join", not_yet)
    monkeypatch.setattr(snapshots, "read", read_change_and_only_then_join)
    async with watching(payment) as socket:
        assert await _newest(socket) == "PENDING"
