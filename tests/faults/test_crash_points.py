"""kill -9 at every point where something is half done: a fresh process finds the truth, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from payments import inbox, reconciler, spool
from payments.models import Reason, Status, Transaction
from payments.tests.conftest import FakeDaraja, callback_body
from tests.factories import make_order, make_transaction, new_phone_number
from tests.faults.clock import let_pass
from tests.faults.crashing import ACCEPTED_ID, Crasher, running_crasher
from tests.faults.truth import CANCELLED, PAID, UNANSWERED, violations

pytestmark = pytest.mark.django_db(transaction=True)

Crash = Callable[..., None]

IN_THE_CHANGE = [
    ("before", "transitions._write_status"),
    ("after", "transitions._write_status"),
    ("before", "transitions.mark_paid"),
    ("after", "transitions.mark_paid"),
    ("after", "transitions.announce_change"),  # all is written, nothing is committed
    ("before", "signals.transaction_changed.send_robust"),  # committed, and nobody was told
]


@pytest.fixture(scope="module")
def crasher(django_db_setup: None) -> Iterator[Crasher]:
    with running_crasher() as found:
        yield found


@pytest.fixture
def crash(crasher: Crasher) -> Callable[..., None]:
    return crasher.crash


@pytest.fixture(autouse=True)
def _own_spool(settings: Any, tmp_path: Path) -> None:
    spool.replay(lambda _arrived: None)
    settings.CALLBACK_SPOOL_DIR = tmp_path / "spool"


def _live_on(payment: Transaction, *, seconds: int = 0) -> Transaction:
    """Let a fresh process run a pass now and then, for so long."""
    for _ in range(seconds // 5):
        let_pass(5)
        reconciler.run_pass()
    payment.refresh_from_db()
    return payment


def _hear_again(payment: Transaction, body: bytes) -> None:
    assert inbox.receive(payment.pk, body, "196.201.214.200")
    payment.refresh_from_db()


# A callback is taken --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "function"), [("before", "inbox._store"), ("before", "inbox.insert")])
def test_a_callback_that_was_not_stored_is_found_by_asking(
    crash: Crash, daraja: FakeDaraja, when: str, function: str
) -> None:
    payment = make_transaction()
    body = callback_body(payment)
    crash("callback", when, function, transaction_id=payment.pk, body=body.decode())
    daraja.query = lambda _id: PAID
    assert violations(_live_on(payment, seconds=25)) == []
    _hear_again(payment, body)  # Safaricom, to whom nobody had answered 200, tells it again
    assert payment.mpesa_receipt_number
    assert violations(payment) == []


@pytest.mark.parametrize(
    ("when", "function"), [("after", "inbox._store"), *IN_THE_CHANGE, ("after", "inbox.settle_callback")]
)
def test_a_callback_that_was_stored_is_settled_without_asking(
    crash: Crash, daraja: FakeDaraja, when: str, function: str
) -> None:
    payment = make_transaction()
    body = callback_body(payment)
    crash("callback", when, function, transaction_id=payment.pk, body=body.decode())
    assert violations(_live_on(payment, seconds=10)) == []
    assert payment.mpesa_receipt_number
    _hear_again(payment, body)
    assert (payment.version, violations(payment), daraja.queries) == (2, [], [])


# A prompt is asked for ------------------------------------------------------------------------------------------


def _crash_in_push(crash: Crash, when: str, function: str) -> Transaction:
    order = make_order()
    facts = {"order_id": order.pk, "phone_number": new_phone_number()}
    crash("push", when, function, dies_at_daraja=function == "checkout.client.stk_push", **facts)
    return Transaction.objects.get(order=order)


def test_a_prompt_that_was_never_asked_for_ends_in_time_and_the_order_stays_payable(
    crash: Crash, daraja: FakeDaraja
) -> None:
    payment = _crash_in_push(crash, "before", "checkout.client.stk_push")
    assert (payment.status, payment.checkout_request_id) == (Status.PENDING, None)
    _live_on(payment, seconds=185)
    assert (payment.status, payment.reason, daraja.queries) == (Status.FAILED, Reason.EXPIRED, [])
    assert make_transaction(order=payment.order).status == Status.PENDING


UNSAVED = [("before", "checkout.keep_ids"), ("before", "models.Transaction.refresh_from_db")]


@pytest.mark.parametrize(("when", "function"), UNSAVED)
@pytest.mark.parametrize("late", [False, True])
def test_a_prompt_whose_ids_were_not_saved_is_completed_by_its_callback(
    crash: Crash, daraja: FakeDaraja, when: str, function: str, late: bool
) -> None:
    payment = _crash_in_push(crash, when, function)
    assert payment.checkout_request_id is None
    _live_on(payment, seconds=185 if late else 5)
    _hear_again(payment, callback_body(payment, CheckoutRequestID=ACCEPTED_ID))
    assert (payment.checkout_request_id, payment.late, violations(payment)) == (ACCEPTED_ID, late, [])


def test_a_prompt_whose_ids_were_saved_is_completed_by_asking(crash: Crash, daraja: FakeDaraja) -> None:
    payment = _crash_in_push(crash, "after", "checkout.keep_ids")
    daraja.query = lambda _id: PAID
    assert violations(_live_on(payment, seconds=25)) == []


# The reconciler asks --------------------------------------------------------------------------------------------

MID_STEP = [
    ("after", "reconciler._claim"),
    ("before", "reconciler.settle_query"),
    *IN_THE_CHANGE,
    ("after", "reconciler.settle_query"),
]


@pytest.mark.parametrize(("when", "function"), MID_STEP)
def test_a_reconciler_killed_mid_step_is_followed_by_the_next(
    crash: Crash, daraja: FakeDaraja, when: str, function: str
) -> None:
    payment = make_transaction()
    let_pass(21)
    crash("reconcile", when, function, answer=["success", "0"])
    daraja.query = lambda _id: PAID
    assert violations(_live_on(payment, seconds=65)) == []  # its claim lapses after a minute


@pytest.mark.parametrize(("when", "function"), [MID_STEP[0], MID_STEP[1], MID_STEP[3], MID_STEP[-1]])
def test_a_failure_survives_a_reconciler_killed_mid_step(
    crash: Crash, daraja: FakeDaraja, when: str, function: str
) -> None:
    payment = make_transaction(queried_code="1032")
    Transaction.objects.update(queried_at=payment.created_at)
    let_pass(21)
    crash("reconcile", when, function, answer=["failure", "1032"])
    daraja.query = lambda _id: CANCELLED
    _live_on(payment, seconds=65)
    assert (payment.status, payment.reason, payment.version) == (Status.FAILED, Reason.CANCELLED, 2)
    assert payment.events.filter(new_status=Status.FAILED).count() == 1


@pytest.mark.parametrize(
    ("when", "function"), [("before", "reconciler.expire_one"), *IN_THE_CHANGE[:2], IN_THE_CHANGE[-1]]
)
def test_a_reconciler_killed_at_expiry_is_followed_by_the_next(
    crash: Crash, daraja: FakeDaraja, when: str, function: str
) -> None:
    payment = make_transaction()
    let_pass(181)
    crash("reconcile", when, function, answer=["pending", "4999"])
    _live_on(payment, seconds=5)
    assert (payment.status, payment.reason, payment.version) == (Status.FAILED, Reason.EXPIRED, 2)
    daraja.query = lambda _id: PAID  # and money wins still
    assert violations(_live_on(payment, seconds=30)) == []


# The database is away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "function", "nth", "is_kept"),
    [
        ("before", "spool._own_file", 1, False),
        ("before", "spool.os.fsync", 1, False),  # the directory's
        ("half-way", "spool._own_file", 1, False),
        ("before", "spool.os.fsync", 2, True),  # a killed process leaves what it wrote; a power cut may not
        ("after", "spool.os.fsync", 2, True),
    ],
)
def test_a_crash_while_spooling_loses_nothing(
    crash: Crash, daraja: FakeDaraja, when: str, function: str, nth: int, is_kept: bool
) -> None:
    payment = make_transaction()
    body = callback_body(payment)
    crash("spool", when, function, nth=nth, callbacks=[(payment.pk, body.decode())])
    assert spool.length() == int(is_kept)
    daraja.query = lambda _id: UNANSWERED if is_kept else PAID
    assert violations(_live_on(payment, seconds=10 if is_kept else 25)) == []
    _hear_again(payment, body)
    assert (violations(payment), spool.length()) == ([], 0)


@pytest.mark.parametrize(
    ("when", "function"),
    [("before", "spool.take_by_route"), ("after", "spool.take_by_route"), ("before", "spool.Path.unlink")],
)
def test_a_crash_while_the_spool_is_replayed_takes_nothing_twice(
    crash: Crash, daraja: FakeDaraja, when: str, function: str
) -> None:
    payments = [make_transaction() for _ in range(3)]
    callbacks = [(payment.pk, callback_body(payment).decode()) for payment in payments]
    crash("spool and replay", when, function, callbacks=callbacks)
    assert spool.length() == 3
    _live_on(payments[0], seconds=5)
    assert [violations(payment) for payment in payments] == [[], [], []]
    assert (spool.length(), daraja.queries) == (0, [])
