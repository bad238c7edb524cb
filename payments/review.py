"""A supervisor's decision about a payment under review: the only way out of a blocking discrepancy."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from payments.audit import log_action
from payments.models import Action, Discrepancy, Reason, Source, Status, Transaction
from payments.transitions import end_review, note_action, transition
from shop.models import Order

_UNDECIDED = Q(under_review=True)
_FOUND_UNPAID = Q(status=Status.FAILED, reason=Reason.UNDER_REVIEW)


def decide(transaction_id: UUID, *, paid: bool, by: AbstractBaseUser, why: str) -> bool:
    """Complete a payment under review because a person has found its money, or leave it unpaid because there is none.

    `paid` settles the order as any other success does, and what that brings to light (paid late, twice, or after a
    cancel) stays open; it may also correct an earlier decision. Not `paid`: FAILED, and the order can be paid anew.
    Resolves what blocked the payment, with whom and why. Returns False when there was nothing to decide.
    """
    with atomic():
        payment = _locked(transaction_id, _UNDECIDED | _FOUND_UNPAID if paid else _UNDECIDED)
        if payment is None:
            return False
        blocking = list(payment.discrepancies.filter(resolved_at=None, blocking=True).values_list("pk", flat=True))
        if not (_complete if paid else _leave_unpaid)(payment, by, why):
            return False
        _resolve(Discrepancy.objects.filter(pk__in=blocking), by=by, why=why)
        log_action(by, payment, f"{'Completed' if paid else 'Left unpaid'} after review: {why}")
    return True


def _locked(transaction_id: UUID, condition: Q) -> Transaction | None:
    """Lock the order, then the payment, as everybody does."""
    Order.objects.select_for_update(of=("self",)).filter(transactions=transaction_id).values("pk").first()
    return Transaction.objects.select_for_update(of=("self",)).filter(condition, pk=transaction_id).first()


def _complete(payment: Transaction, by: AbstractBaseUser, why: str) -> bool:
    return transition(payment.pk, Status.COMPLETED, source=Source.STAFF, note=why, by=by)


def _leave_unpaid(payment: Transaction, by: AbstractBaseUser, why: str) -> bool:
    if payment.status == Status.FAILED:
        return end_review(payment.pk, note=why, by=by)
    source, reason = Source.STAFF, Reason.UNDER_REVIEW
    return transition(payment.pk, Status.FAILED, source=source, reason=reason, note=why, by=by, under_review=False)


def resolve(discrepancy: Discrepancy, *, by: AbstractBaseUser, why: str) -> bool:
    """Note that a discrepancy has been seen to; one that still blocks its payment needs `decide` instead."""
    with atomic():
        # The payment first, as everybody does: the note below writes to it.
        Transaction.objects.select_for_update(of=("self",)).filter(pk=discrepancy.transaction_id).values("pk").first()
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
