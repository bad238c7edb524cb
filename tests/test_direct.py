"""What the driver's own cursors must not do otherwise than Django's: errors, broken transactions, lost connections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection
from django.db.models import F
from django.db.transaction import TransactionManagementError, atomic
from django.utils import timezone

import direct
from payments import inbox, transitions
from payments.models import Callback, Discrepancy, Status, Transaction, TransactionEvent
from payments.tests.conftest import callback_body
from payments.transitions import lock
from prepared import Select, Update, given
from shop import orders
from shop.models import Order
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db(transaction=True)


def only_postgresql(test: Any) -> Any:
    """Leave a test out on SQLite, which has no connection to lose; a skipped test would be a failed one."""
    return test if connection.vendor == "postgresql" else None


BY_ID = Select(lambda: Transaction.objects.filter(pk=given(Transaction, "id")).order_by(), by_key=True)
RECEIPT = Update(
    lambda: Transaction.objects.filter(pk=given(Transaction, "id")),
    lambda: {"mpesa_receipt_number": given(Transaction, "mpesa_receipt_number"), "version": F("version") + 1},
)


@pytest.fixture
def stranger() -> Iterator[psycopg.Connection[Any]]:
    """Another connection to the same database, for what others do meanwhile."""
    known = connection.settings_dict
    with psycopg.connect(
        dbname=known["NAME"], user=known["USER"], host=known["HOST"], port=known["PORT"], autocommit=True
    ) as other:
        yield other


def _state(payment: Transaction) -> tuple[Any, ...]:
    payment.refresh_from_db()
    callback = Callback.objects.get(transaction_id=payment.pk)
    paid = Order.objects.get(pk=payment.order_id).amount_paid
    lines = TransactionEvent.objects.filter(transaction=payment, new_status=Status.COMPLETED).count()
    return payment.status, callback.state, paid and paid == payment.amount, lines


PAID = (Status.COMPLETED, Callback.State.PROCESSED, True, 1)
LEFT = (Status.PENDING, Callback.State.RECEIVED, 0, 0)


def test_a_violated_constraint_is_djangos_error_and_breaks_the_transaction() -> None:
    first, second = make_transaction(mpesa_receipt_number="UKN7R2X0QD"), make_transaction()
    with pytest.raises(IntegrityError), atomic():
        RECEIPT.run(id=second.pk, mpesa_receipt_number=first.mpesa_receipt_number)
    assert RECEIPT.run(id=second.pk, mpesa_receipt_number="UKN7R2X0QE") == 1
    with atomic():
        with pytest.raises(IntegrityError), atomic(savepoint=False):
            RECEIPT.run(id=second.pk, mpesa_receipt_number=first.mpesa_receipt_number)
        with pytest.raises(TransactionManagementError):
            BY_ID.first(id=second.pk)
        connection.set_rollback(True)


def test_moments_are_read_as_django_reads_them() -> None:
    payment = make_transaction(prompted_at=timezone.now() - timedelta(days=200, microseconds=1))
    found, true = BY_ID.first(id=payment.pk), Transaction.objects.get(pk=payment.pk)
    assert found
    assert found.prompted_at
    assert true.prompted_at
    assert (found.prompted_at, found.prompted_at.tzinfo) == (true.prompted_at, true.prompted_at.tzinfo)


def test_a_receipt_that_another_payment_has_is_seen_with_the_lock() -> None:
    make_transaction(mpesa_receipt_number="UKN7R2X0QD")
    payment = make_transaction()
    with atomic():
        known = [lock(payment.pk, receipt=receipt) for receipt in ("UKN7R2X0QD", "UKN7R2X0QE")]
    assert [found and found.receipt_is_used for found in known] == [True, False]  # type: ignore[attr-defined]


@only_postgresql
def test_a_receipt_that_is_taken_behind_the_look_is_a_discrepancy(
    monkeypatch: pytest.MonkeyPatch, stranger: psycopg.Connection[Any]
) -> None:
    """Whoever waits for the lock has looked before: the constraint decides, and the second look sees it."""
    other, payment, true = make_transaction(), make_transaction(), transitions._write_status
    body = callback_body(payment, MpesaReceiptNumber="UKN7R2X0QD")

    def overtaken(*args: Any) -> bool:
        stranger.execute(
            "UPDATE payments_transaction SET mpesa_receipt_number = %s WHERE id = %s", ["UKN7R2X0QD", other.pk]
        )
        return true(*args)

    monkeypatch.setattr(transitions, "_write_status", overtaken)
    assert inbox.receive(payment.pk, body, None)
    assert _state(payment) == (Status.PENDING, Callback.State.PROCESSED, 0, 0)
    assert payment.under_review
    assert [finding.kind for finding in payment.discrepancies.all()] == [Discrepancy.Kind.RECEIPT_REUSED]


@only_postgresql
@pytest.mark.parametrize("function", ["_write_status", "mark_paid", "record", "announce_change"])
def test_a_connection_that_is_lost_in_the_middle_leaves_nothing_half_done(
    function: str, monkeypatch: pytest.MonkeyPatch, stranger: psycopg.Connection[Any]
) -> None:
    payment, true = make_transaction(), getattr(transitions, function)
    lost: list[int] = []

    def dies(*args: Any, **kwargs: Any) -> Any:
        if not lost:
            lost.append(connection.connection.info.backend_pid)
            stranger.execute("SELECT pg_terminate_backend(%s)", lost)
        return true(*args, **kwargs)

    monkeypatch.setattr(transitions, function, dies)
    assert inbox.receive(payment.pk, callback_body(payment), None)
    assert lost
    assert _state(payment) == LEFT
    assert inbox.process(Callback.objects.get())
    assert _state(payment) == PAID


@only_postgresql
@pytest.mark.parametrize("error", ["40P01", "40001", "55P03", "57014"])
def test_a_statement_that_postgresql_gives_up_leaves_the_callback_to_be_driven_again(
    error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock, a conflict, a lock or a statement that took too long."""
    payment, true = make_transaction(), orders.mark_paid

    def given_up(*args: Any) -> Any:
        direct.count(f"DO $$ BEGIN RAISE EXCEPTION 'given up' USING ERRCODE = '{error}'; END $$", [])
        return true(*args)

    monkeypatch.setattr(transitions, "mark_paid", given_up)
    assert inbox.receive(payment.pk, callback_body(payment), None)
    assert _state(payment) == LEFT
    monkeypatch.setattr(transitions, "mark_paid", true)
    assert inbox.process(Callback.objects.get())
    assert _state(payment) == PAID


def test_a_guard_that_refuses_in_the_middle_pays_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    payment, true = make_transaction(), transitions._write_status

    def too_late(transaction_id: Any, *args: Any) -> bool:
        Transaction.objects.filter(pk=transaction_id).update(under_review=True)
        return true(transaction_id, *args)

    monkeypatch.setattr(transitions, "_write_status", too_late)
    assert inbox.receive(payment.pk, callback_body(payment), None)
    assert _state(payment) == (Status.PENDING, Callback.State.PROCESSED, 0, 0)


@only_postgresql
def test_a_migration_under_a_prepared_statement_is_no_error(stranger: psycopg.Connection[Any]) -> None:
    first, payment = make_transaction(), make_transaction()
    assert inbox.receive(first.pk, callback_body(first), None)
    assert BY_ID.first(id=first.pk) == first
    wider = "ALTER TABLE payments_transaction ALTER COLUMN queried_code TYPE varchar({})"
    try:
        stranger.execute(wider.format(41))
        assert inbox.receive(payment.pk, callback_body(payment), None)
        assert _state(payment) == PAID
        assert BY_ID.first(id=payment.pk) == payment
        stranger.execute(wider.format(42))
        assert BY_ID.first(id=payment.pk) == payment
    finally:
        stranger.execute(wider.format(40))


@only_postgresql
def test_a_database_that_is_away_is_djangos_error() -> None:
    with pytest.raises(OperationalError):
        direct.rows("SELECT pg_terminate_backend(pg_backend_pid())", [], by_key=False)
    connection.close()
    assert BY_ID.first(id=uuid4()) is None


@only_postgresql
def test_a_value_that_postgresql_does_not_take_is_djangos_error() -> None:
    with pytest.raises(DataError), atomic():
        RECEIPT.run(id=make_transaction().pk, mpesa_receipt_number="\0")
