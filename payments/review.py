"""A supervisor's decision about a payment under review: the only way out of a blocking discrepancy."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from payments.models import Discrepancy, Source, Status, Transaction
from payments.transitions import record, transition


def complete_by_decision(payment: Transaction, *, by: AbstractBaseUser, why: str) -> bool:
    """Complete a payment under review because a person has found its money; False when it no longer needs that.

    Resolves its discrepancies with whom and why. The order is settled as by any other success.
    """
    with atomic():
        if not Transaction.objects.filter(pk=payment.pk, under_review=True).exists():
            return False
        done = transition(payment.pk, Status.COMPLETED, source=Source.STAFF, note=f"{by}: {why}")
        _resolve(payment.discrepancies.filter(resolved_at=None), by=by, why=why)
    return done


def resolve(discrepancy: Discrepancy, *, by: AbstractBaseUser, why: str) -> bool:
    """Note that a discrepancy has been seen to; the payment itself stays as it is."""
    with atomic():
        changed = _resolve(Discrepancy.objects.filter(pk=discrepancy.pk, resolved_at=None), by=by, why=why)
        if changed:
            note = f"{by} resolved {discrepancy.get_kind_display()}: {why}"
            record(discrepancy.transaction, source=Source.STAFF, note=note)
    return bool(changed)


def _resolve(discrepancies: QuerySet[Discrepancy], *, by: AbstractBaseUser, why: str) -> int:
    return discrepancies.update(resolved_at=timezone.now(), resolved_by=by, resolution=why[:250])
