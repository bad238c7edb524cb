"""Whatever the channel layer loses, the page still gets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import F
from django.db.transaction import atomic

from payments import waiting
from payments.models import Source, Transaction, TransactionEvent
from realtime import probes, tailer
from realtime.database import read
from realtime.tailer import Tailer
from realtime.tests.sockets import change_elsewhere, complete_elsewhere, new_payment, watching
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("server_loop")

ANOTHER_PROCESS = """
import sys, django
django.setup()
from payments.models import Source, Status
from payments.transitions import transition
assert transition(sys.argv[1], Status.COMPLETED, source=Source.QUERY, mpesa_receipt_number="FROMAFAR01")
"""


def _database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


async def _in_another_process(transaction_id) -> None:
    environment = {
        "DJANGO_SETTINGS_MODULE": "settings",
        "DATABASE_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "CALLBACK_SECRET": settings.CALLBACK_SECRETS[0],
        "ENV_FILE": "/dev/null",
    }
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(transaction_id)]
    await asyncio.to_thread(subprocess.run, command, cwd=settings.BASE_DIR, env=environment, check=True)


@pytest.mark.usefixtures("in_memory", "running_tailer")
async def test_a_payment_that_another_process_completed_shows_here_without_redis():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await _in_another_process(payment.pk)
        document = await socket.receive_json_from()
    assert (document["status"], document["mpesa_receipt_number"]) == ("COMPLETED", "FROMAFAR01")


@pytest.mark.usefixtures("running_tailer")
async def test_a_page_converges_when_every_message_is_lost(in_memory, monkeypatch):
    async def lose(group, message):
        pass

    monkeypatch.setattr(in_memory, "group_send", lose)
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await complete_elsewhere(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"
        assert await socket.receive_nothing(timeout=1.2)


@pytest.mark.usefixtures("in_memory")
async def test_without_the_tailer_that_page_would_stay_as_it_was():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await change_elsewhere(payment.pk)
        assert await socket.receive_nothing(timeout=1.5)


@pytest.mark.usefixtures("running_tailer")
async def test_a_held_poll_hears_of_what_another_process_did():
    payment = await new_payment()
    with waiting.held(payment.pk, 1) as waiter:
        await asyncio.sleep(1.1)  # a round has begun to hurry
        await change_elsewhere(payment.pk)
        assert await waiter.wait(PATIENCE)


async def test_a_held_poll_that_has_seen_the_version_is_left_waiting():
    payment = await new_payment()
    with waiting.held(payment.pk, 1) as waiter:
        await Tailer().catch_up()
        assert not await waiter.wait(0.05)


async def test_one_round_brings_each_of_many_payments_its_own_version(monkeypatch):
    monkeypatch.setattr(tailer, "IDS_PER_QUERY", 2)
    monkeypatch.setattr(tailer, "AT_ONCE", 1)
    payments, tail = [await new_payment() for _ in range(5)], Tailer()
    async with watching(payments[0]) as a, watching(payments[2]) as b, watching(payments[4]) as c:
        for socket in (a, b, c):
            await socket.receive_json_from()
        await tail.catch_up()
        for payment in payments[:4]:
            await change_elsewhere(payment.pk)
        await tail.catch_up()
        for socket, payment in ((a, payments[0]), (b, payments[2])):
            document = await socket.receive_json_from()
            assert (document["transaction_id"], document["version"]) == (str(payment.pk), 2)
        assert await c.receive_nothing()


async def test_a_round_costs_one_query_however_many_pages_are_open():
    payments, tail = [await new_payment() for _ in range(30)], Tailer()
    async with AsyncExitStack() as pages:
        for number, payment in enumerate(payments):
            page = await pages.enter_async_context(watching(payment, address=f"10.0.0.{number}"))
            await page.receive_json_from()
        await tail.catch_up()
        asked = await _queries_of(tail.catch_up)
    assert len(asked) == 1
    assert "payments_transactionevent" in asked[0]


async def _queries_of(call) -> list[str]:
    """Return the SQL that `call` runs in the threads of realtime/database.py."""
    asked = []

    def note(execute, sql, params, many, context):
        asked.append(sql)
        return execute(sql, params, many, context)

    def noting(function, *args):
        with connection.execute_wrapper(note):
            return function(*args)

    async def read_and_note(function, *args):
        return await read(noting, function, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tailer, "read", read_and_note)
        await call()
    return asked


async def test_a_line_of_history_with_a_lower_number_may_be_committed_later():
    """PostgreSQL numbers lines before they are committed, so the end of the history is read again for a while."""
    payment, other, tail = await new_payment(), await new_payment(), Tailer()
    await change_elsewhere(other.pk)
    last = await read(lambda: TransactionEvent.objects.latest("pk").pk)
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await tail.catch_up()
        await _commit_line(payment, number=last + 2)
        await tail.catch_up()
        assert (await socket.receive_json_from())["version"] == 2
        await _commit_line(payment, number=last + 1)
        await tail.catch_up()
        assert (await socket.receive_json_from())["version"] == 3


async def _commit_line(payment, *, number: int) -> None:
    def commit() -> None:
        with atomic():
            Transaction.objects.filter(pk=payment.pk).update(version=F("version") + 1)
            version = Transaction.objects.get(pk=payment.pk).version
            TransactionEvent.objects.create(
                pk=number, transaction=payment, version=version, new_status="PENDING", source=Source.CALLBACK
            )

    await read(commit)


async def test_a_line_committed_long_after_its_number_is_found_by_comparing_all(monkeypatch):
    payment, tail = await new_payment(), Tailer()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await tail.catch_up()
        await read(lambda: Transaction.objects.filter(pk=payment.pk).update(version=2))  # no line that we would read
        await tail.catch_up()
        assert await socket.receive_nothing()
        monkeypatch.setattr(tailer, "COMPARE_ALL_EVERY", 0)
        await tail.catch_up()
        assert (await socket.receive_json_from())["version"] == 2


async def test_history_is_read_again_for_seconds_and_not_for_ever(monkeypatch):
    tail, now = Tailer(), time.monotonic()
    monkeypatch.setattr(tailer, "COMPARE_ALL_EVERY", 3600)
    async with watching(await new_payment()):
        await tail.catch_up()
        for second in range(1, 60):
            monkeypatch.setattr(tailer, "time", SimpleNamespace(monotonic=lambda moment=now + second: moment))
            await tail.catch_up()
    assert len(tail._ends) == tailer.OVERLAP + 2


async def test_a_round_with_nobody_watching_asks_only_where_history_ends():
    asked = await _queries_of(Tailer().catch_up)
    assert len(asked) == 1
    assert "MAX" in asked[0]


async def test_a_board_is_told_what_happened_between_its_opening_and_its_first_round(monkeypatch):
    class Opened(dict):
        """A room with one board, opened after the round with nobody watching."""

        notice = dict.__setitem__

        def __bool__(self):
            return True

    payment, tail, room = await new_payment(), Tailer(), Opened()
    await tail.catch_up()
    monkeypatch.setattr(tailer, "room", room)
    await change_elsewhere(payment.pk)
    await tail.catch_up()
    assert room == {payment.pk: 2}


async def test_a_poll_held_for_a_payment_that_does_not_exist_is_no_trouble():
    with waiting.held(uuid4(), 1):
        await Tailer().catch_up()


async def test_the_tailer_outlives_the_database(monkeypatch):
    async def away(*args):
        raise OperationalError("the database is away")

    monkeypatch.setattr(tailer, "EVERY", 0.02)
    payment = await new_payment()
    task = asyncio.create_task(tailer.run())
    async with watching(payment) as socket:
        await socket.receive_json_from()
        monkeypatch.setattr(tailer, "read", away)
        await asyncio.sleep(0.2)
        before = tailer.age()
        await change_elsewhere(payment.pk)
        monkeypatch.setattr(tailer, "read", read)
        assert (await socket.receive_json_from())["version"] == 2
    task.cancel()
    assert before > 0.1
    assert tailer.age() < before


async def test_an_outage_is_one_line_in_the_log(monkeypatch):
    lines = []

    async def away(self):
        raise OperationalError("the database is away")

    monkeypatch.setattr(Tailer, "catch_up", away)
    monkeypatch.setattr(tailer.log, "warning", lambda event, **kwargs: lines.append(event))
    for _ in range(5):
        await tailer._attempt(Tailer())
    monkeypatch.undo()
    await tailer._attempt(Tailer())
    assert lines == ["tailer.failing"]


async def test_readiness_follows_the_age_of_the_last_round(monkeypatch):
    monkeypatch.setattr(tailer, "_last_round", None)
    assert not probes._tailer_is_well()
    await tailer._attempt(Tailer())
    assert probes._tailer_is_well()
    monkeypatch.setattr(tailer, "_last_round", time.monotonic() - 60)
    assert not probes._tailer_is_well()
