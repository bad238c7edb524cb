from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest
from django.db import InternalError, OperationalError, connection
from django.db.transaction import atomic
from django.utils import timezone

from payments import budget, inbox, reconciler, spool
from payments.amendments import put_under_review
from payments.daraja import client
from payments.models import Callback, QueryBudget, Reason, Status, Transaction
from payments.tests.conftest import FakeDaraja, callback_body, raising
from tests.factories import make_transaction
from tests.faults.crowd import crowd

pytestmark = pytest.mark.django_db(transaction=True)

PAID = client.QueryAnswer("success", "0", "The service request is processed successfully.", None)
CANCELLED = client.QueryAnswer("failure", "1032", "Request cancelled by user", Reason.CANCELLED)
PROCESSING = client.QueryAnswer("pending", "4999", "The transaction is still under processing", None)


def _due(**fields: Any) -> Transaction:
    return make_transaction(check_after=timezone.now(), **fields)


def _pass(payment: Transaction) -> Transaction:
    reconciler.run_pass()
    payment.refresh_from_db()
    return payment


def _make_due_again(payment: Transaction, **fields: Any) -> None:
    Transaction.objects.filter(pk=payment.pk).update(check_after=timezone.now(), **fields)


def _overdue(**fields: Any) -> Transaction:
    return make_transaction(expires_at=timezone.now() - timedelta(seconds=1), **fields)


def test_a_payment_whose_callback_was_lost_is_completed_by_asking(daraja: FakeDaraja) -> None:
    daraja.query = lambda _id: PAID
    payment = _pass(_due())
    assert (payment.status, payment.mpesa_receipt_number, payment.version) == ("COMPLETED", None, 2)
    assert payment.order.__class__.objects.get().status == "PAID"


def test_nobody_is_asked_about_before_the_time(daraja: FakeDaraja) -> None:
    _pass(make_transaction())
    assert daraja.queries == []


def test_a_query_fails_a_payment_only_when_it_says_so_twice_ten_seconds_apart(daraja: FakeDaraja) -> None:
    daraja.query = lambda _id: CANCELLED
    payment = _pass(_due())
    assert (payment.status, payment.queried_code) == ("PENDING", "1032")
    _make_due_again(payment, queried_at=timezone.now() - timedelta(seconds=9))
    assert _pass(payment).status == Status.PENDING
    _make_due_again(payment, queried_at=timezone.now() - timedelta(seconds=10))
    assert (_pass(payment).status, payment.reason) == ("FAILED", "cancelled")


def test_another_code_in_between_begins_again(daraja: FakeDaraja) -> None:
    answers = [CANCELLED, client.QueryAnswer("failure", "1037", "", Reason.NO_RESPONSE), CANCELLED]
    daraja.query = lambda _id: answers.pop(0)
    payment = _due()
    for _ in range(3):
        _make_due_again(payment, queried_at=timezone.now() - timedelta(seconds=30))
        _pass(payment)
    assert (payment.status, payment.queried_code) == ("PENDING", "1032")


@pytest.mark.parametrize("error", [client.DarajaUnreachable(), client.OutcomeUnknown(), ZeroDivisionError()])
def test_no_answer_changes_nothing(daraja: FakeDaraja, error: Exception) -> None:
    daraja.query = raising(error)
    assert _pass(_due()).status == Status.PENDING


def test_the_gaps_grow_and_one_question_comes_before_expiry(daraja: FakeDaraja) -> None:
    payment = _pass(_due())
    assert 9 < (payment.check_after - timezone.now()).total_seconds() <= 10
    _make_due_again(payment, expires_at=timezone.now() + timedelta(seconds=12))
    _pass(payment)
    assert 6 < (payment.check_after - timezone.now()).total_seconds() <= 7


def test_an_unanswered_payment_expires(daraja: FakeDaraja) -> None:
    payment = _pass(_overdue())
    assert (payment.status, payment.reason, payment.failed_by) == ("FAILED", "expired", "expiry")
    assert payment.check_after is not None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"queried_code": "1037"}, "no_response"), ({"result_code": "7777"}, "unknown")],
)
def test_expiry_names_what_was_learnt(daraja: FakeDaraja, fields: dict[str, str], reason: str) -> None:
    assert _pass(_overdue(**fields)).reason == reason


def test_what_was_named_once_is_no_proof_so_asking_goes_on_after_expiry(daraja: FakeDaraja) -> None:
    payment = _pass(_overdue(queried_code="1032", queried_at=timezone.now()))
    assert (payment.reason, payment.failed_by) == ("cancelled", "expiry")
    assert timezone.now() < payment.check_after <= timezone.now() + timedelta(seconds=20)
    daraja.query = lambda _id: PAID
    _make_due_again(payment)
    assert (_pass(payment).status, payment.late) == ("COMPLETED", True)


def test_nobody_asks_about_a_failure_that_is_proven(daraja: FakeDaraja) -> None:
    daraja.query = lambda _id: CANCELLED
    payment = _pass(_due(queried_code="1032", queried_at=timezone.now() - timedelta(seconds=10)))
    assert (payment.status, payment.failed_by, payment.check_after) == ("FAILED", "query", None)


def test_a_blocked_payment_expires_under_review(daraja: FakeDaraja) -> None:
    payment = make_transaction()
    put_under_review(payment.pk, source="callback")
    Transaction.objects.update(expires_at=timezone.now())
    assert (_pass(payment).status, payment.reason) == ("FAILED", "under_review")


def test_money_still_wins_after_expiry(daraja: FakeDaraja) -> None:
    payment = _pass(_overdue())
    daraja.query = lambda _id: PAID
    _make_due_again(payment)
    assert (_pass(payment).status, payment.late) == ("COMPLETED", True)


def test_a_callback_in_the_inbox_comes_before_expiry(daraja: FakeDaraja) -> None:
    payment = _overdue()
    body = callback_body(payment)
    Callback.objects.create(
        dedup_key="1", environment=payment.environment, transaction_id=payment.pk, trusted=True, body=body,
        digest="1", received_at=timezone.now() - timedelta(seconds=6),
    )  # fmt: skip
    assert _pass(payment).status == Status.COMPLETED


def test_a_callback_that_is_just_being_settled_holds_expiry_back(daraja: FakeDaraja) -> None:
    payment = _overdue()
    Callback.objects.create(
        dedup_key="1", environment=payment.environment, transaction_id=payment.pk, trusted=True, body=b"{}",
        digest="1", received_at=timezone.now(),
    )  # fmt: skip
    assert _pass(payment).status == Status.PENDING


def test_the_spool_is_replayed_before_anything_expires(daraja: FakeDaraja) -> None:
    payment = _overdue()
    spool.append(payment.pk, callback_body(payment), "196.201.214.200")
    assert (_pass(payment).status, spool.length()) == ("COMPLETED", 0)


def test_nothing_expires_while_the_spool_cannot_be_replayed(
    daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = _overdue()
    spool.append(payment.pk, callback_body(payment), None)
    monkeypatch.setattr(inbox, "_store", raising(OperationalError()))
    with pytest.raises(OperationalError):
        reconciler.run_pass()
    payment.refresh_from_db()
    assert payment.status == Status.PENDING
    monkeypatch.undo()
    assert spool.replay() == 1


def test_the_budget_bounds_the_questions(daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 5
    for _ in range(4):
        _due()
    reconciler.run_pass()
    assert len(daraja.queries) == 1


def test_after_429_nobody_asks_but_expiry_goes_on(daraja: FakeDaraja) -> None:
    daraja.query = raising(client.DarajaThrottled("429", "Spike arrest", Reason.BUSY))
    _pass(_due())
    asked = len(daraja.queries)
    payment = _pass(_overdue(check_after=timezone.now()))
    assert (len(daraja.queries), payment.status) == (asked, "FAILED")
    QueryBudget.objects.update(silent_until=timezone.now())
    assert not budget.is_silent()


def test_a_failed_payment_that_is_throttled_each_time_is_asked_about_ever_more_rarely(daraja: FakeDaraja) -> None:
    daraja.query = raising(client.DarajaThrottled("429", "Spike arrest", Reason.BUSY))
    failed_at = timezone.now() - timedelta(seconds=70)
    payment = _pass(_due(status="FAILED", reason="expired", failed_at=failed_at))
    assert (len(daraja.queries), payment.check_after) == (1, failed_at + timedelta(seconds=300))


def test_an_open_payment_that_is_throttled_is_asked_about_again_soon(daraja: FakeDaraja) -> None:
    daraja.query = raising(client.DarajaThrottled("429", "Spike arrest", Reason.BUSY))
    assert _pass(_due()).check_after < timezone.now() + timedelta(seconds=5)


def test_two_reconcilers_ask_about_a_payment_once(daraja: FakeDaraja) -> None:
    for _ in range(10):
        _due()
    passes = [threading.Thread(target=_run_and_close) for _ in range(4)]
    for thread in passes:
        thread.start()
    for thread in passes:
        thread.join()
    assert len(daraja.queries) == len(set(daraja.queries)) == 10


def _run_and_close() -> None:
    reconciler.run_pass()
    connection.close()


def test_payments_of_another_environment_are_left_alone(daraja: FakeDaraja) -> None:
    payment = _pass(_overdue(environment="production", check_after=timezone.now()))
    assert (payment.status, daraja.queries) == ("PENDING", [])


def test_the_first_success_without_a_receipt_is_filled_in_by_the_later_callback(
    daraja: FakeDaraja, post_callback: Any
) -> None:
    daraja.query = lambda _id: PAID
    payment = _pass(_due())
    post_callback(payment, MpesaReceiptNumber="UKN7R2X0QD")
    assert (payment.mpesa_receipt_number, payment.version) == ("UKN7R2X0QD", 3)


def test_payments_that_somebody_watches_are_asked_about_first(daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 5
    payments = [_due() for _ in range(3)]
    reconciler.note_watched([payments[2].pk])
    reconciler.run_pass()
    assert daraja.queries == [payments[2].checkout_request_id]


def test_an_open_payment_comes_before_a_failed_one_that_somebody_watches(daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 5
    failed = _due(status="FAILED", reason="expired", failed_at=timezone.now())
    reconciler.note_watched([failed.pk])
    waiting = _due()
    reconciler.run_pass()
    assert daraja.queries == [waiting.checkout_request_id]


def test_what_somebody_else_has_locked_is_left_for_the_next_pass(daraja: FakeDaraja) -> None:
    locked, free = _due(), _due()
    expected = [free.pk] if connection.vendor == "postgresql" else [locked.pk, free.pk]
    with crowd(2) as processes:
        is_locked, may_end = threading.Event(), threading.Event()

        def hold() -> None:
            with atomic():
                Transaction.objects.select_for_update().get(pk=locked.pk)
                is_locked.set()
                # SQLite has one writer at a time, so there the claim waits for all of this to end.
                may_end.wait(timeout=20 if connection.vendor == "postgresql" else 0)

        def claim() -> list[Transaction]:
            is_locked.wait(timeout=20)
            try:
                return reconciler._claim_due(10)
            finally:
                may_end.set()

        claimed = cast("list[Transaction]", processes.do([hold, claim])[1])
    assert [payment.pk for payment in claimed] == expected


def test_a_hint_that_finds_no_budget_postpones_nothing(daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 5
    budget.take_query(for_hint=True)
    now = timezone.now()
    QueryBudget.objects.update(tokens=0, refilled_at=now)
    payment = make_transaction(checks=4, prompted_at=now - timedelta(seconds=100), hinted_at=now, check_after=now)
    planned = payment.prompted_at + timedelta(seconds=20 + 10 + 15 + 30 + 60)
    assert (_pass(payment).check_after, daraja.queries) == (planned, [])


def test_a_callback_that_cannot_be_settled_is_driven_again_ever_more_rarely_and_time_goes_on(
    daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = _overdue()
    waiting = Callback.objects.create(
        dedup_key="1", environment=payment.environment, transaction_id=payment.pk, trusted=True,
        body=callback_body(payment), digest="1", received_at=timezone.now(),
    )  # fmt: skip
    monkeypatch.setattr(inbox, "settle_callback", raising(ZeroDivisionError()))
    statuses = []
    for seconds in (4, 6, 9, 11):
        Callback.objects.update(received_at=timezone.now() - timedelta(seconds=seconds))
        statuses.append((_pass(payment).status, Callback.objects.get().attempts))
    assert statuses == [("PENDING", 0), ("PENDING", 1), ("PENDING", 2), ("FAILED", 3)]
    monkeypatch.undo()
    Callback.objects.filter(pk=waiting.pk).update(received_at=timezone.now() - timedelta(seconds=21))
    reconciler.run_pass()
    payment.refresh_from_db()
    assert (payment.status, payment.late) == ("COMPLETED", True)


def test_a_database_that_is_away_fails_a_pass_quietly_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passes: list[Exception | None] = [OperationalError(), InternalError(), None, None]

    def one_pass(*args: Any) -> tuple[int, list[Any]]:
        if error := passes.pop(0):
            raise error
        return 0, []

    monkeypatch.setattr(reconciler, "_pass", one_pass)
    with ThreadPoolExecutor() as askers:
        assert [reconciler._attempt_pass(askers, room=1) for _pass in range(4)] == [[], [], [], []]
    told = [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]
    assert told == ["reconciler.database_away", "reconciler.recovered"]
