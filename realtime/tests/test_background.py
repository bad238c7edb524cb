from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from payments import deliveries, reconciler
from payments.models import Delivery
from realtime import background, beats, broadcast, listener, tailer
from realtime.board import alarms
from realtime.database import read
from realtime.tests.sockets import close_code, communicator, complete, new_payment, watching
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("server_loop")


@pytest.fixture
def started(monkeypatch):
    """Count what is started; the reconciler itself has its own tests."""
    counts = {"reconciler": 0, "stopped": 0}

    def run_forever(stop: threading.Event) -> None:
        counts["reconciler"] += 1
        stop.wait()
        counts["stopped"] += 1

    monkeypatch.setattr(reconciler, "run_forever", run_forever)
    monkeypatch.setattr(alarms, "watch", lambda stop: None)
    yield counts
    background.stop()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - a thread that begins makes no sound
            await asyncio.sleep(0.01)


async def test_many_starts_start_everything_once(started, monkeypatch):
    monkeypatch.setattr(tailer, "_last_round", None)
    for _ in range(100):
        background.start()
    await _until(lambda: started["reconciler"] > 0 and tailer.age() is not None)
    assert started["reconciler"] == 1
    assert broadcast._server_loop is asyncio.get_running_loop()


async def test_stop_ends_both_and_start_begins_anew(started):
    background.start()
    first, beating = background._tasks
    await asyncio.to_thread(background.stop)
    await asyncio.sleep(0)
    assert first.cancelled() or first.cancelling()
    assert beating.cancelled() or beating.cancelling()
    assert started["stopped"] == 1
    background.start()
    await _until(lambda: started["reconciler"] == 2)


async def _raise_instead_of_ending(*args):
    """Do as Redis' clients may when they are cancelled."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ConnectionError from None


async def test_what_runs_for_ever_ends_though_a_cancelled_call_raises_something_else(shared_layer, monkeypatch):
    monkeypatch.setattr(shared_layer, "receive", _raise_instead_of_ending, raising=False)
    monkeypatch.setattr(broadcast, "probe", _raise_instead_of_ending)
    monkeypatch.setattr(tailer.Tailer, "catch_up", _raise_instead_of_ending)
    monkeypatch.setattr(listener, "RETRY_SECONDS", 0)
    ears = listener.Listener(shared_layer)
    runs = [asyncio.create_task(beats.run()), asyncio.create_task(tailer.run()), *ears._tasks]
    await asyncio.sleep(0)
    for run in runs:
        run.cancel()
    done, _going_on = await asyncio.wait(runs, timeout=PATIENCE)
    assert len(done) == len(runs) == 4


async def test_stop_writes_what_deliveries_were_noted_last(started):
    background.start()
    payment = await new_payment()
    await complete(payment)
    deliveries.note_sent(payment.pk, 2, deliveries.Channel.SOCKET, watched=True)
    await asyncio.to_thread(background.stop)
    row = await read(Delivery.objects.get, pk=payment.pk)
    assert row.sent_at is not None


async def test_a_second_loop_takes_over_from_one_that_has_ended(started):
    async def first_scope() -> None:
        background.start()

    await asyncio.to_thread(lambda: asyncio.run(first_scope()))
    background.start()
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await complete(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"
    assert started["reconciler"] == 1


async def test_the_application_starts_it_with_its_first_scope(started):
    from asgi import application  # not before the settings are the test's

    assert await close_code(communicator("/ws/nowhere/", application=application)) == 4404
    assert background._loop is asyncio.get_running_loop()
    await _until(lambda: started["reconciler"] == 1)


async def test_a_connection_stays_open_for_the_next_read():
    def use_it() -> object:
        connections["default"].ensure_connection()
        return connections["default"]

    assert (await read(use_it)).connection is not None


async def test_a_connection_that_failed_is_not_used_again():
    def fail() -> object:
        connections["default"].ensure_connection()
        connections["default"].errors_occurred = True
        return connections["default"]

    assert (await read(fail)).connection is None


async def test_the_tasks_of_the_servers_loop_are_counted_until_they_end(started):
    background.start()
    with ThreadPoolExecutor(1) as others:

        def counted() -> int:
            """Count from another thread while the loop waits, so that no task of the background begins or ends."""
            return others.submit(background.task_count).result()

        before = counted()
        task = asyncio.create_task(asyncio.sleep(3600))
        assert counted() == before + 1
        task.cancel()
        await asyncio.wait([task])
        everybody = asyncio.all_tasks()
        assert (counted(), task in everybody) == (len(everybody), False)
