"""What is learnt of a payment or done about it without a change of its status: a receipt, a review, money back.

Each leaves its line in the history, in one database transaction, and is announced after it; what the customer's page
shows differently raises the version, a note of the staff's does not.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.transaction import atomic
from django.utils import timezone

from payments.history import record
from payments.models import Action, Callback, Reason, Source, Status, Transaction, payments_of
from payments.signals import announce_change
from prepared import Select, given

# What may be learnt later: the field, and while in which status.
AMENDED_IN: dict[str, tuple[Status, ...]] = {
    "mpesa_receipt_number": (Status.COMPLETED,),
    "earlier_paid": (Status.PENDING,),
    "under_review": (Status.PENDING, Status.FAILED),
    "found_by_hand": (Status.PENDING, Status.FAILED),
}
_UNSAID: dict[str, Any] = {
    "mpesa_receipt_number": "",
    "earlier_paid": False,
    "under_review": False,
    "found_by_hand": False,
}


def amend(
    transaction_id: UUID, *, source: Source, note: str = "", callback: Callback | None = None, **fields: Any
) -> bool:
    """Add what was learnt later (a receipt, a review); version + 1.

    A field that already says something is left as it is: whoever comes second changes nothing.
    """
    guard = Q(pk=transaction_id)
    for name in fields.keys() & AMENDED_IN.keys():
        guard &= Q(status__in=AMENDED_IN[name]) & (Q(**{f"{name}__isnull": True}) | Q(**{name: _UNSAID[name]}))
    with atomic(savepoint=False):
        changed = Transaction.objects.filter(guard).update(
            version=F("version") + 1, updated_at=timezone.now(), **fields
        )
        if changed:
            payment = read_with_order(transaction_id)
            record(payment, source=source, note=note, callback=callback)
            announce_change(payment)
    return bool(changed)


def add_refund(transaction_id: UUID, *, amount: int, note: str) -> bool:
    """Add `amount` KES that went back to the customer; version + 1. False when that is more than was paid in all."""
    paid = Transaction.objects.filter(
        pk=transaction_id, status=Status.COMPLETED, refunded_amount__lte=F("amount") - amount
    )
    with atomic():
        changed = paid.update(
            refunded_amount=F("refunded_amount") + amount, version=F("version") + 1, updated_at=timezone.now()
        )
        if changed:
            payment = Transaction.objects.get(pk=transaction_id)
            record(payment, source=Source.REFUND, note=note)
            announce_change(payment)
    return bool(changed)


def put_under_review(transaction_id: UUID, *, source: Source, note: str = "", callback: Callback | None = None) -> bool:
    """Keep everybody but a supervisor from completing the payment; its open pages are told."""
    failed = When(status=Status.FAILED, then=Value(Reason.UNDER_REVIEW))
    reason = Case(failed, default=F("reason"))
    return amend(transaction_id, source=source, note=note, callback=callback, under_review=True, reason=reason)


def end_review(transaction_id: UUID, *, note: str, by: AbstractBaseUser | None = None) -> bool:
    """Leave a FAILED payment unpaid because a supervisor says so: its order may be paid anew; version + 1."""
    reviewed = Transaction.objects.filter(pk=transaction_id, under_review=True, status=Status.FAILED)
    with atomic():
        changed = reviewed.update(under_review=False, version=F("version") + 1, updated_at=timezone.now())
        if changed:
            payment = read_with_order(transaction_id)
            record(payment, source=Source.STAFF, note=note, by=by, action=Action.DECIDED)
            announce_change(payment)
    return bool(changed)


def note_action(
    payment: Transaction, action: Action, *, by: AbstractBaseUser, note: str = "", source: Source = Source.STAFF
) -> None:
    """Write down what a person did about a payment, or what came of it; whoever watches is told, the version stays."""
    with atomic():
        record(payment, source=source, action=action, by=by, note=note)
        announce_change(payment)


def announce_found_by_hand(order_id: UUID, *, found: bool, note: str) -> None:
    """Let the order's unpaid pages say that a payment by hand is found and M-PESA is being asked, or no longer."""
    for payment_id in _unpaid_pages(order_id, found_by_hand=not found):
        if found:
            amend(payment_id, source=Source.C2B, note=note, found_by_hand=True)
        else:
            _forget_found(payment_id, note)


def announce_pause(order_id: UUID, *, note: str) -> None:
    """Let the pages that say "found" say when M-PESA is asked again."""
    for payment_id in _unpaid_pages(order_id, found_by_hand=True):
        amend(payment_id, source=Source.C2B, note=note)


def _unpaid_pages(order_id: UUID, *, found_by_hand: bool) -> list[UUID]:
    """Return this environment's payments of the order whose pages say that one by hand was found, or do not."""
    unpaid = payments_of(order_id).filter(status__in=AMENDED_IN["found_by_hand"], found_by_hand=found_by_hand)
    return list(unpaid.values_list("pk", flat=True))


def _forget_found(payment_id: UUID, note: str) -> None:
    with atomic():
        mine = Transaction.objects.filter(pk=payment_id, found_by_hand=True)
        if mine.update(found_by_hand=False, version=F("version") + 1, updated_at=timezone.now()):
            payment = read_with_order(payment_id)
            record(payment, source=Source.C2B, note=note)
            announce_change(payment)


def read_with_order(transaction_id: UUID) -> Transaction:
    """Return the payment with its order, and as `has_others` whether another payment was ever begun for that."""
    payment = _with_order.first(id=transaction_id)
    if payment is None:
        raise Transaction.DoesNotExist
    return payment


_with_order = Select(
    lambda: (
        Transaction.objects.select_related("order")
        .annotate(has_others=Exists(Transaction.objects.filter(order=OuterRef("order")).exclude(pk=OuterRef("pk"))))
        .filter(pk=given(Transaction, "id"))
        .order_by()
    ),
    by_key=True,
)
