"""When a customer saw the end of a payment, the boards are told: once for a batch of notes, and without a query."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments import deliveries
from payments.models import Delivery, Transaction
from payments.signals import ends_seen
from realtime import broadcast, layer
from realtime.board import painter, shared
from realtime.board.look import Look
from realtime.board.room import Room, room
from realtime.database import read
from realtime.tests.boards import SEES, board_of, new_staff
from realtime.tests.sockets import complete, new_payment
from tests.communicators import Socket
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("in_memory")


@pytest.fixture(autouse=True)
def _nothing_noted_by_other_tests() -> Iterator[None]:
    shared.forget_all()
    deliveries._notes.clear()
    deliveries._known.clear()
    yield
    deliveries._notes.clear()
    deliveries._known.clear()


@pytest.fixture
def told() -> Iterator[list[dict[str, float]]]:
    """What was said about ends that were seen, a batch each."""
    batches: list[dict[str, float]] = []

    def listen(*args: Any, seconds: dict[str, float], **kwargs: Any) -> None:
        batches.append(seconds)

    ends_seen.connect(listen)
    yield batches
    ends_seen.disconnect(listen)


async def paid_and_seen(after: float = 0.25) -> Transaction:
    """Return a payment whose page has said that it shows the end, so many seconds after the callback."""
    payment = await new_payment()
    await complete(payment)
    now = timezone.now()
    row = Delivery(transaction=payment, version=2, received_at=now, committed_at=now)
    await read(row.save, force_insert=True)
    deliveries._notes.append(deliveries.Note("painted_at", payment.pk, 2, at=now + timedelta(seconds=after)))
    return payment


async def next_seen(board: Socket) -> str:
    while True:
        text = await board.receive_from()
        if 'id="seen"' in text:
            return str(text)


async def test_a_batch_is_told_once_with_all_that_there_is_to_say(told: list[dict[str, float]]) -> None:
    payments = [await paid_and_seen(after) for after in (0.25, 0.5)]
    await read(deliveries.flush)
    assert told == [{str(payments[0].pk): 0.25, str(payments[1].pk): 0.5}]
    await read(deliveries.flush)
    assert len(told) == 1


async def test_what_has_only_left_is_not_told(told: list[dict[str, float]]) -> None:
    payment = await new_payment()
    await complete(payment)
    deliveries.note_sent(payment.pk, 2, Delivery.Channel.SOCKET, watched=True)
    assert await read(deliveries.flush) == 1
    assert told == []


async def test_an_open_board_is_told_without_another_change_of_the_payment() -> None:
    async with board_of(await new_staff(SEES), "") as board:
        await board.receive_from()  # it is in the room
        payment = await paid_and_seen()
        await read(deliveries.flush)
        assert f'<tr data-row="p-{payment.pk}"><td>0.25 s</td></tr>' in await next_seen(board)


async def test_many_batches_between_two_paints_are_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    seen = painter.seen

    def count(seconds: Any, looks: Any) -> dict[Look, list[str]]:
        asked.append(len(seconds))
        return seen(seconds, looks)

    monkeypatch.setattr(painter, "seen", count)
    async with board_of(await new_staff(SEES), "") as board:
        await board.receive_from()  # it is in the room
        for number in range(50):
            room.notice_seen({f"{number}": 0.1})
        assert (await next_seen(board)).count("<tr") == 50
    assert asked == [50]


async def test_nothing_is_lost_while_no_thread_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, failures = painter.seen, []

    def away_once(seconds: Any, looks: Any) -> dict[Look, list[str]]:
        if not failures:
            failures.append(1)
            raise TimeoutError
        return seen(seconds, looks)

    monkeypatch.setattr(painter, "seen", away_once)
    async with board_of(await new_staff(SEES), "") as board:
        await board.receive_from()  # it is in the room
        room.notice_seen({"a": 0.1})
        assert 'data-row="p-a"' in await next_seen(board)
    assert failures


async def test_nothing_is_kept_for_nobody() -> None:
    empty = Room()
    empty.notice_seen({"a": 0.1})
    assert not empty._seen


async def test_a_layer_that_never_answers_holds_up_no_notes(shared_layer: Any, monkeypatch: Any) -> None:
    async def never(group: str, message: Any) -> None:
        await asyncio.Event().wait()

    shared_layer.group_send = never
    monkeypatch.setattr(layer, "CALL_SECONDS", 3600)
    await paid_and_seen()
    async with asyncio.timeout(PATIENCE):
        assert await read(deliveries.flush) == 1
    assert broadcast._in_flight


def test_only_boards_with_rows_are_told_and_nothing_is_read(django_assert_num_queries: Any) -> None:
    looks = [Look(), Look(query="status=PENDING"), Look(language="sw"), Look(wall=True), Look(as_json=True)]
    with django_assert_num_queries(0):
        texts = painter.seen({"a": 0.031}, looks)
    assert set(texts) == set(looks[:3])
    assert "0.03 s" in texts[looks[0]][0]
