"""A supervisor's decision about a payment under review: the only way out of a blocking discrepancy.

What is booked is what a person has found, not what was asked: less leaves the order open for the rest, more is kept
as a discrepancy, as with any other money.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from payments.amendments import end_review, note_action
from payments.audit import log_action
from payments.daraja.results import NotACallback, StkCallback, parse_callback
from payments.models import Action, Callback, Discrepancy, Reason, Source, Status, Transaction
from payments.transitions import transition
from shop.models import Order

_UNDECIDED = Q(under_review=True)
_FOUND_UNPAID = Q(status=Status.FAILED, reason=Reason.UNDER_REVIEW)


@dataclass(frozen=True)
class Money:
    """What a person has found. `amount`: whole KES; `receipt`: M-PESA's, None where none is known."""

    amount: int
    receipt: str | None = None


class ReceiptInUse(Exception):
    """Another payment has this receipt: nothing was decided."""


def evidence(payment: Transaction) -> Money:
    """Return the money that the newest callback with the payment's token told of; else what was asked."""
    heard = Callback.objects.filter(transaction_id=payment.pk, trusted=True).order_by("-id")
    told = next((told for one in heard if (told := _success_in(bytes(one.body)))), None)
    if told is None:
        return Money(payment.amount)
    receipt = told.mpesa_receipt_number
    amount = int(told.amount) if told.amount and told.amount == int(told.amount) else payment.amount
    return Money(amount, None if receipt and is_in_use(receipt, payment) else receipt)


def _success_in(body: bytes) -> StkCallback | None:
    try:
        told = parse_callback(body)
    except NotACallback:
        return None
    return told if told.is_success else None


def is_in_use(receipt: str, payment: Transaction) -> bool:
    """Return whether another payment of this environment has the receipt."""
    held = Transaction.objects.filter(environment=payment.environment, mpesa_receipt_number=receipt)
    return held.exclude(pk=payment.pk).exists()


def complete(transaction_id: UUID, *, found: Money, by: AbstractBaseUser, why: str) -> bool:
    """Complete a payment under review with the money that a person has found; it may correct an earlier decision.

    The order is settled as by any other success, and what that brings to light (paid late, twice, or after a cancel)
    stays open. Resolves what blocked the payment, with whom and why. Returns False when there was nothing to decide;
    raises `ReceiptInUse`.
    """
    try:
        with atomic():
            payment = _locked(transaction_id, _UNDECIDED | _FOUND_UNPAID)
            if payment is None:
                return False
            blocking = _what_blocks(payment)
            booked = f"KES {found.amount:,} of {payment.amount:,}, {found.receipt or 'no receipt'}"
            if not _book(payment, found, note=f"{booked}: {why}", by=by):
                return False
            _resolve(blocking, by=by, why=why)
            log_action(by, payment, f"Completed after review, {booked}: {why}")
    except IntegrityError as error:
        raise ReceiptInUse from error
    return True


def _book(payment: Transaction, found: Money, *, note: str, by: AbstractBaseUser) -> bool:
    payment.amount = found.amount  # what the order gets
    return transition(
        payment.pk,
        Status.COMPLETED,
        source=Source.STAFF,
        note=note,
        by=by,
        locked=payment,
        amount=found.amount,
        mpesa_receipt_number=found.receipt,
    )


def leave_unpaid(transaction_id: UUID, *, by: AbstractBaseUser, why: str) -> bool:
    """Leave a payment under review unpaid because there is no money: FAILED, and its order can be paid anew.

    Resolves what blocked the payment, with whom and why. Returns False when there was nothing to decide.
    """
    with atomic():
        payment = _locked(transaction_id, _UNDECIDED)
        if payment is None:
            return False
        blocking = _what_blocks(payment)
        if not _fail(payment, by, why):
            return False
        _resolve(blocking, by=by, why=why)
        log_action(by, payment, f"Left unpaid after review: {why}")
    return True


def _what_blocks(payment: Transaction) -> QuerySet[Discrepancy]:
    """Return what blocks the payment now, and no more that comes to light by deciding."""
    blocking = payment.discrepancies.filter(resolved_at=None, blocking=True)
    return Discrepancy.objects.filter(pk__in=list(blocking.values_list("pk", flat=True)))


def _locked(transaction_id: UUID, condition: Q) -> Transaction | None:
    """Lock the order, then the payment, as everybody does."""
    Order.objects.select_for_update(of=("self",), no_key=True).filter(transactions=transaction_id).values("pk").first()
    return Transaction.objects.select_for_update(of=("self",), no_key=True).filter(condition, pk=transaction_id).first()


def _fail(payment: Transaction, by: AbstractBaseUser, why: str) -> bool:
    if payment.status == Status.FAILED:
        return end_review(payment.pk, note=why, by=by)
    source, reason = Source.STAFF, Reason.UNDER_REVIEW
    return transition(payment.pk, Status.FAILED, source=source, reason=reason, note=why, by=by, under_review=False)


def resolve(discrepancy: Discrepancy, *, by: AbstractBaseUser, why: str) -> bool:
    """Note that a discrepancy has been seen to; one that still blocks its payment needs a decision instead."""
    with atomic():
        # The payment before what is found about it: the note below writes to it.
        payments = Transaction.objects.select_for_update(of=("self",), no_key=True)
        payments.filter(pk=discrepancy.transaction_id).values("pk").first()
        still_blocks = Q(blocking=True, transaction__under_review=True)
        unresolved = Discrepancy.objects.filter(pk=discrepancy.pk, resolved_at=None)
        changed = 0 if unresolved.filter(still_blocks).exists() else _resolve(unresolved, by=by, why=why)
        if changed:
            note = f"{discrepancy.get_kind_display()}: {why}"
            note_action(discrepancy.transaction, Action.RESOLVED, by=by, note=note)
            log_action(by, discrepancy, f"Resolved: {why}")
    return bool(changed)


def _resolve(discrepancies: QuerySet[Discrepancy], *, by: AbstractBaseUser, why: str) -> int:
    return discrepancies.update(resolved_at=timezone.now(), resolved_by=by, resolution=why[:250])
