"""The bridge between a payment's commit and the channel layer must never hurt the payment."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import OperationalError

from payments import waiting
from payments.documents import load_facts
from payments.signals import transaction_changed
from realtime import broadcast, layer
from realtime.breaker import FAILURES, PAUSE, Breaker
from realtime.change import Change
from realtime.database import read
from realtime.tests.sockets import complete, new_payment, watching
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("server_loop")


FOREVER = 3600  # seconds


async def _never_answers(*args):
    await asyncio.Event().wait()


async def _refuses(*args):
    raise ConnectionError("away")


def _heard(shared_layer) -> asyncio.Queue:
    """Return a queue of what the layer is given to carry."""
    heard = asyncio.Queue()

    async def group_send(group, message):
        await heard.put((group, message))

    shared_layer.group_send = group_send
    return heard


async def test_the_payments_group_and_the_boards_group_hear_of_every_change(shared_layer):
    payment, heard = await new_payment(), _heard(shared_layer)
    await complete(payment)
    group, message = await heard.get()
    assert (group, message["type"], message["version"]) == (f"payment.{payment.pk.hex}", "payment.changed", 2)
    assert message["facts"]["status"] == "COMPLETED"
    assert await heard.get() == ("payments.board", {"type": "payments.changed", "facts": [message["facts"]]})


async def test_changes_that_come_together_are_one_message_to_the_boards(shared_layer, monkeypatch):
    monkeypatch.setattr(broadcast, "BOARDS_EVERY", 3600)
    payments, heard = [await new_payment() for _ in range(3)], _heard(shared_layer)
    for payment in payments:
        await complete(payment)
        await heard.get()
    broadcast._tell_boards()
    _group, message = await heard.get()
    assert [facts["transaction_id"] for facts in message["facts"]] == [str(payment.pk) for payment in payments]
    assert heard.empty()


async def test_the_boards_are_told_the_newest_version_whichever_thread_came_first(shared_layer, monkeypatch):
    monkeypatch.setattr(broadcast, "BOARDS_EVERY", 3600)
    payment, heard = await new_payment(), _heard(shared_layer)
    facts = await read(load_facts, payment.pk)
    for version in (3, 2):
        broadcast._tell(Change({**facts, "version": version}))
        await heard.get()
    broadcast._tell_boards()
    _group, message = await heard.get()
    assert [told["version"] for told in message["facts"]] == [3]


async def test_the_pages_of_this_process_do_not_wait_for_the_layer(shared_layer, monkeypatch):
    monkeypatch.setattr(layer, "CALL_SECONDS", FOREVER)
    shared_layer.group_send = _never_answers
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await complete(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_a_page_is_told_once_though_it_hears_twice(shared_layer):
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await complete(payment)
        assert (await socket.receive_json_from())["version"] == 2
        assert await socket.receive_nothing(timeout=0.3)


async def test_a_held_poll_is_woken_by_the_change(in_memory):
    payment = await new_payment()
    with waiting.held(payment.pk, 1) as waiter:
        await complete(payment)
        assert await waiter.wait(PATIENCE)


async def test_a_layer_that_never_answers_holds_up_nobody(shared_layer, monkeypatch):
    monkeypatch.setattr(layer, "CALL_SECONDS", FOREVER)
    shared_layer.group_send = _never_answers
    payment = await new_payment()
    async with asyncio.timeout(PATIENCE):
        await complete(payment)
    assert broadcast._in_flight


async def test_a_push_is_given_up_after_a_second(shared_layer, monkeypatch):
    monkeypatch.setattr(layer, "CALL_SECONDS", 0.05)
    shared_layer.group_send = _never_answers
    await complete(await new_payment())
    async with asyncio.timeout(PATIENCE):
        while broadcast._in_flight:  # a message to the boards may join the payment's while that is given up
            await asyncio.gather(*broadcast._in_flight)


def test_the_bound_is_one_second():
    assert layer.CALL_SECONDS == 1


async def test_after_three_failures_nobody_is_sent_to_for_ten_seconds(shared_layer):
    asked = []

    async def refuses(group, message):
        asked.append(group)
        raise ConnectionError("away")

    shared_layer.group_send = refuses
    for _ in range(6):
        await complete(await new_payment())
        await asyncio.sleep(0.02)
    assert len(asked) == 3


async def test_a_payment_completes_while_the_layer_refuses_everything(shared_layer):
    shared_layer.group_send = shared_layer.group_add = _refuses
    payment = await new_payment()
    async with watching(payment) as socket:
        assert (await socket.receive_json_from())["version"] == 1
        await complete(payment)
    async with watching(payment) as socket:
        assert (await socket.receive_json_from())["version"] == 2


async def test_a_database_that_goes_away_after_the_commit_hurts_nobody(monkeypatch):
    def away(transaction_id):
        raise OperationalError("the database is away")

    monkeypatch.setattr(broadcast, "load_facts", away)
    answers = await read(transaction_changed.send_robust, None, transaction_id=uuid4(), version=2)
    assert [answer for _receiver, answer in answers if isinstance(answer, Exception)] == []


async def test_a_payment_that_does_not_exist_is_announced_to_nobody(in_memory):
    in_memory.group_send = _refuses
    await read(broadcast.announce, transaction_id=uuid4(), version=2)
    assert not broadcast._in_flight


async def test_a_command_on_the_in_memory_layer_sends_nothing(in_memory, monkeypatch):
    broadcast.bind_server_loop(None)
    monkeypatch.setattr(broadcast, "load_facts", lambda transaction_id: pytest.fail("there is nobody to tell"))
    await complete(await new_payment())


async def test_many_threads_may_announce_at_once():
    payments = [await new_payment() for _ in range(10)]
    async with watching(payments[0]) as first, watching(payments[9]) as last:
        for socket in (first, last):
            await socket.receive_json_from()
        await asyncio.gather(*(complete(payment) for payment in payments))
        for socket in (first, last):
            assert (await socket.receive_json_from())["status"] == "COMPLETED"


def test_announcing_after_the_servers_loop_has_ended_is_no_trouble(in_memory):
    loop = asyncio.new_event_loop()
    broadcast.bind_server_loop(loop)
    loop.close()
    broadcast.announce(transaction_id=uuid4(), version=2)


# The breaker


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("realtime.breaker.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_breaker_opens_at_the_third_failure_in_a_row(clock):
    breaker = Breaker("test")
    for _ in range(FAILURES - 1):
        breaker.failed(OSError())
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed(OSError())
    assert breaker.allows()
    breaker.failed(OSError())
    assert not breaker.allows()


def test_after_the_pause_one_caller_tries_and_the_others_wait_for_it(clock):
    breaker = Breaker("test")
    for _ in range(FAILURES):
        breaker.failed(OSError())
    clock[0] += PAUSE
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert breaker.allows()


def test_a_failed_probe_means_another_pause(clock):
    breaker = Breaker("test")
    for _ in range(FAILURES):
        breaker.failed(OSError())
    clock[0] += PAUSE
    assert breaker.allows()
    breaker.failed(OSError())
    clock[0] += PAUSE - 1
    assert not breaker.allows()
    clock[0] += 1
    assert breaker.allows()


# Readiness


async def test_the_in_memory_layer_is_always_ready(in_memory):
    assert await asyncio.to_thread(broadcast.layer_answers)


def test_a_thread_outside_any_loop_may_announce(in_memory):
    thread = threading.Thread(target=broadcast.announce, kwargs={"transaction_id": uuid4(), "version": 2})
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
