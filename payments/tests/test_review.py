from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from payments.checkout import start_checkout
from payments.daraja.client import QueryAnswer
from payments.daraja.results import parse_callback
from payments.documents import document, facts
from payments.models import Callback, Discrepancy, Status, Transaction
from payments.review import Money, ReceiptInUse, complete, evidence, leave_unpaid, resolve
from payments.screen import screen
from payments.settlement import expire, settle_query
from payments.tests.conftest import FakeDaraja
from shop.models import Order
from shop.orders import cancel_order
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db
Kind = Discrepancy.Kind


@pytest.fixture
def chief(db: None) -> User:
    return User.objects.create_user("chief")


@pytest.fixture
def blocked(post_callback: Any) -> Transaction:
    """A payment whose callback told of another amount."""
    payment = make_transaction()
    post_callback(payment, Amount=1)
    return payment


def paid(payment: Transaction, by: User, why: str, amount: int = 1500, receipt: str | None = None) -> bool:
    return complete(payment.pk, found=Money(amount, receipt), by=by, why=why)


def _open_kinds(payment: Transaction) -> set[str]:
    return set(payment.discrepancies.filter(resolved_at=None).values_list("kind", flat=True))


def test_a_decision_that_it_is_paid_settles_the_order(blocked: Transaction, chief: User) -> None:
    version = blocked.version
    assert paid(blocked, chief, "Seen on the statement")
    blocked.refresh_from_db()
    assert (blocked.status, blocked.under_review, blocked.version) == ("COMPLETED", False, version + 1)
    assert blocked.order.status == Order.objects.get().status == "PAID"
    event = blocked.events.last()
    assert (event.source, event.action, str(event.by), event.note) == (
        "staff",
        "decided",
        "chief",
        "KES 1,500 of 1,500, no receipt: Seen on the statement",
    )


def test_it_resolves_what_blocked_with_whom_and_why_and_is_logged(blocked: Transaction, chief: User) -> None:
    paid(blocked, chief, "Seen on the statement")
    found = Discrepancy.objects.get()
    assert (found.resolved_by, found.resolution, found.resolved_at is None) == (chief, "Seen on the statement", False)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (chief, str(blocked.pk))
    assert "Seen on the statement" in entry.change_message


def test_what_the_decision_brings_to_light_stays_open(blocked: Transaction, chief: User) -> None:
    expire(blocked)
    blocked.refresh_from_db()
    cancel_order(blocked.order)
    assert paid(blocked, chief, "It came")
    assert _open_kinds(blocked) == {Kind.LATE, Kind.PAID_AFTER_CANCEL}


@pytest.mark.parametrize("expired", [False, True])
def test_left_unpaid_the_order_can_be_paid_anew(
    blocked: Transaction, chief: User, daraja: FakeDaraja, expired: bool
) -> None:
    if expired:
        expire(blocked)
    assert leave_unpaid(blocked.pk, by=chief, why="No such money")
    blocked.refresh_from_db()
    told = document(facts(blocked))
    assert (told["status"], told["reason"], told["can_retry"]) == ("FAILED", "under_review", True)
    assert "You can pay again" in told["message"]
    assert "No money was taken" not in told["message"]
    assert _open_kinds(blocked) == set()
    assert start_checkout(blocked.order_id, blocked.phone_number).is_new


def test_after_that_only_another_decision_completes_it(blocked: Transaction, chief: User, post_callback: Any) -> None:
    leave_unpaid(blocked.pk, by=chief, why="No such money")
    post_callback(blocked)
    settle_query(blocked.pk, QueryAnswer("success", "0", "processed", None))
    blocked.refresh_from_db()
    assert (blocked.status, _open_kinds(blocked)) == ("FAILED", {Kind.CONTRADICTION})
    assert paid(blocked, chief, "It came after all")
    blocked.refresh_from_db()
    assert (blocked.status, blocked.late) == ("COMPLETED", True)


def test_there_is_nothing_to_decide_twice_or_without_a_review(blocked: Transaction, chief: User) -> None:
    assert not paid(make_transaction(), chief, "?")
    assert not paid(make_transaction(status=Status.FAILED, reason="expired"), chief, "?")
    assert paid(blocked, chief, "It came")
    assert not paid(blocked, chief, "?")
    assert not leave_unpaid(blocked.pk, by=chief, why="?")
    assert LogEntry.objects.count() == 1


def test_what_blocks_is_not_resolved_without_a_decision(blocked: Transaction, chief: User) -> None:
    assert not resolve(Discrepancy.objects.get(), by=chief, why="Away with it")
    assert (_open_kinds(blocked), LogEntry.objects.count()) == ({Kind.AMOUNT_DIFFERS}, 0)
    paid(blocked, chief, "It came")


def test_anything_else_is_resolved_once_with_a_reason(post_callback: Any, chief: User) -> None:
    payment = make_transaction()
    post_callback(payment)
    post_callback(payment, code=1032)
    found = Discrepancy.objects.get()
    assert resolve(found, by=chief, why="A late copy")
    assert not resolve(found, by=chief, why="Again")
    found.refresh_from_db()
    assert (found.resolution, found.resolved_by, LogEntry.objects.count()) == ("A late copy", chief, 1)


# What is booked is what was found ------------------------------------------------------------------------------


def test_the_callback_is_the_evidence_and_else_what_was_asked(blocked: Transaction, post_callback: Any) -> None:
    assert evidence(make_transaction()) == Money(1500)
    assert evidence(blocked) == Money(1, blocked_receipt(blocked))
    other = make_transaction()
    post_callback(other, MpesaReceiptNumber="UKPHELD001")
    post_callback(blocked, Amount=1.5, MpesaReceiptNumber="UKPHELD001")
    assert evidence(blocked) == Money(1500)  # cents cannot be booked, and the receipt is another payment's


def blocked_receipt(payment: Transaction) -> str | None:
    return parse_callback(bytes(Callback.objects.get(transaction_id=payment.pk).body)).mpesa_receipt_number


def test_less_than_was_due_is_a_part_and_the_rest_can_be_paid(
    blocked: Transaction, chief: User, daraja: FakeDaraja
) -> None:
    assert paid(blocked, chief, "The statement shows 600", 600, "UKPPART001")
    blocked.refresh_from_db()
    order = Order.objects.get()
    assert (blocked.status, blocked.amount, blocked.mpesa_receipt_number) == ("COMPLETED", 600, "UKPPART001")
    assert (order.status, order.amount_paid, order.amount_due) == ("OPEN", 600, 900)
    assert "Part of it has arrived" in screen(facts(blocked))["heading"]
    start_checkout(order.pk, "254712000999")
    assert daraja.pushes[-1]["amount"] == 900


def test_more_than_was_due_pays_the_order_and_the_rest_is_kept(blocked: Transaction, chief: User) -> None:
    paid(blocked, chief, "The statement shows 1,700", 1700, "UKPMORE001")
    blocked.refresh_from_db()
    assert (blocked.order.status, blocked.order.amount_paid, blocked.excess) == ("PAID", 1700, 200)
    assert _open_kinds(blocked) == {Kind.OVERPAID}


def test_the_history_and_the_log_hold_what_was_asked_and_what_came(blocked: Transaction, chief: User) -> None:
    paid(blocked, chief, "Seen", 600, "UKPPART002")
    told = "KES 600 of 1,500, UKPPART002: Seen"
    assert blocked.events.last().note == told
    assert LogEntry.objects.get().change_message == f"Completed after review, {told}"


def test_a_receipt_of_another_payment_decides_nothing(blocked: Transaction, chief: User, post_callback: Any) -> None:
    post_callback(make_transaction(), MpesaReceiptNumber="UKPHELD002")
    with pytest.raises(ReceiptInUse):
        paid(blocked, chief, "?", 1500, "UKPHELD002")
    blocked.refresh_from_db()
    assert (blocked.status, blocked.under_review, LogEntry.objects.count()) == ("PENDING", True, 0)


def test_the_same_callback_again_is_then_a_copy(blocked: Transaction, chief: User, post_callback: Any) -> None:
    found = evidence(blocked)
    paid(blocked, chief, "It is so", found.amount, found.receipt)
    post_callback(blocked, Amount=1, MpesaReceiptNumber=found.receipt, MerchantRequestID=blocked.merchant_request_id)
    assert _open_kinds(blocked) == set()
