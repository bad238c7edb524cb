"""What a socket notes of a payment's end: that it left, whether its page had waited for it, and that it was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from payments import deliveries
from payments.models import Delivery
from realtime.database import read
from realtime.tests.sockets import complete, new_payment, watching
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("in_memory")


@pytest.fixture(autouse=True)
def _no_notes_of_other_tests() -> Iterator[None]:
    deliveries._notes.clear()
    deliveries._known.clear()
    yield
    deliveries._notes.clear()
    deliveries._known.clear()


async def _written() -> list[tuple[str, bool, bool, bool]]:
    await read(deliveries.flush)
    rows = await read(lambda: list(Delivery.objects.all()))
    return [(row.channel, row.watched, bool(row.sent_at), bool(row.painted_at)) for row in rows]


async def _until_noted(moment: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(note.moment == moment for note in deliveries._notes):  # noqa: ASYNC110 - a note makes no sound
            await asyncio.sleep(0.01)


async def test_a_page_that_waited_and_paints_is_told_apart() -> None:
    payment = await new_payment()
    async with watching(payment) as socket:
        assert (await socket.receive_json_from())["version"] == 1
        await socket.send_json_to({"seen": 1})
        await complete(payment)
        assert (await socket.receive_json_from())["version"] == 2
        await _until_noted("sent_at")
        assert await _written() == [("socket", True, True, False)]
        await socket.send_json_to({"seen": 2})
        await _until_noted("painted_at")
        assert await _written() == [("socket", True, True, True)]


async def test_a_page_that_opens_later_had_not_waited() -> None:
    payment = await new_payment()
    await complete(payment)
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await _until_noted("sent_at")
        assert await _written() == [("socket", False, True, False)]


async def test_a_page_cannot_have_seen_what_was_not_sent_to_it() -> None:
    payment = await new_payment()
    await complete(payment)
    async with watching(payment) as socket:
        await socket.receive_json_from()
        for version in (2_000_000, 3, 2):
            await socket.send_json_to({"seen": version})
        await _until_noted("painted_at")
        assert [note.version for note in deliveries._notes if note.moment == "painted_at"] == [2]
