"""The one door of a refund: guarded like a payment's, and the only place where a payment's refunded amount grows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from django.db.models import Q
from django.db.transaction import atomic
from django.utils import timezone

from payments.amendments import add_refund
from payments.history import record
from payments.models import Discrepancy, Refund, Source, Transaction
from shop.models import CURRENCY, Order

log = structlog.get_logger(__name__)

State = Refund.State
REACHED_FROM: dict[Refund.State, tuple[Refund.State, ...]] = {
    State.ACCEPTED: (State.REQUESTED,),
    State.DONE: (State.REQUESTED, State.ACCEPTED, State.UNKNOWN, State.FAILED),
    State.FAILED: (State.REQUESTED, State.ACCEPTED, State.UNKNOWN),
    State.UNKNOWN: (State.REQUESTED, State.ACCEPTED),
}
Kind = Discrepancy.Kind
PREPARED_FOR = (Kind.SURPLUS, Kind.PAID_AFTER_CANCEL, Kind.OVERPAID)


def lock_payment(transaction_id: UUID) -> Transaction:
    """Lock the order, then the payment, as everybody does; raises Transaction.DoesNotExist."""
    Order.objects.select_for_update(of=("self",), no_key=True).filter(transactions=transaction_id).values("pk").first()
    return Transaction.objects.select_for_update(of=("self",), no_key=True).get(pk=transaction_id)


def change(refund: Refund, state: Refund.State, *, outcome: str, **fields: Any) -> bool:
    """Change the state of a refund if the table allows it from where it is now; return whether it did.

    DONE adds the amount to the payment in the same database transaction, once, and tells its open pages.
    """
    with atomic():
        lock_payment(refund.transaction_id)
        if state in {State.DONE, State.FAILED}:
            fields |= {"ended_at": timezone.now(), "ask_after": None}
        guard = Q(pk=refund.pk, state__in=REACHED_FROM[state])
        if state == State.DONE and _other_reversal_lives(refund):
            guard &= ~Q(state=State.FAILED)  # two cannot have gone back: M-PESA reverses a payment once
        if not Refund.objects.filter(guard).update(state=state, outcome=outcome[:250], **fields):
            return False
        refund.refresh_from_db()
        note = f"{CURRENCY} {refund.amount:,} {refund.get_state_display()}: {outcome}"
        if state == State.DONE:
            _give_back(refund, note)
        else:
            record(refund.transaction, source=Source.REFUND, note=note)
    log.info("refund.changed", refund=str(refund.pk), state=state, amount=refund.amount, method=refund.method)
    return True


def _other_reversal_lives(refund: Refund) -> bool:
    same = Refund.objects.filter(transaction=refund.transaction_id, method=Refund.Method.REVERSAL)
    others = same.exclude(pk=refund.pk).exclude(state=State.FAILED)
    return refund.method == Refund.Method.REVERSAL and others.exists()


def _give_back(refund: Refund, note: str) -> None:
    if not add_refund(refund.transaction_id, amount=refund.amount, note=note):
        raise ValueError("more would have gone back than was paid")  # undoes the change; staff see it as unprocessed
    payment = Transaction.objects.get(pk=refund.transaction_id)
    seen_to = [Kind.OVERPAID] if payment.excess and payment.refunded_amount >= payment.excess else []
    if payment.refunded_amount == payment.amount:
        seen_to = [*PREPARED_FOR, Kind.LATE]  # nobody has to deliver anything for it
    prepared = payment.discrepancies.filter(kind__in=seen_to, resolved_at=None)
    prepared.update(resolved_at=timezone.now(), resolved_by=refund.requested_by_id, resolution=note[:250])
