"""When Daraja is asked about a payment that no callback has settled: `check_after`, which is the reconciler's queue."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from payments import clock
from payments.models import Status, Transaction

GAPS = (10, 15, 30, 60)  # seconds between questions after the first
GAPS_AFTER_FAILURE = (20, 60, 300, 900, 3_600, 21_600, 86_400)  # money may still come: ask on, ever more rarely
LAST_QUESTION_BEFORE_EXPIRY = timedelta(seconds=5)
NO_BUDGET = timedelta(seconds=2)  # until a payment that found no budget is looked at again


def first_check(payment: Transaction, prompted_at: datetime) -> datetime:
    """Return when Daraja is first asked: so long after the prompt, and in any case before time runs out."""
    wanted = prompted_at + timedelta(seconds=settings.MPESA_QUERY_AFTER_SECONDS)
    return min(wanted, payment.expires_at - timedelta(seconds=min(5, settings.MPESA_EXPIRE_AFTER_SECONDS / 2)))


def next_check(payment: Transaction, *, was_asked: bool, may_wait: bool) -> datetime | None:
    """Return when to ask again: growing gaps, once more shortly before expiry, then ever more rarely.

    `may_wait`: a question that was not put is not owed soon; the next one comes when it would have come anyway.
    """
    now = clock.now()
    if not payment.checkout_request_id:
        return payment.expires_at if now < payment.expires_at else None
    if not was_asked and not may_wait:
        return now + NO_BUDGET
    if payment.status == Status.FAILED:
        failed_at = payment.failed_at or now
        later = [failed_at + timedelta(seconds=gap) for gap in GAPS_AFTER_FAILURE]
        return next((moment for moment in later if moment > now), None)
    ordinary = now + timedelta(seconds=_gap(payment.checks - 1)) if was_asked else max(now, _planned(payment))
    last = payment.expires_at - LAST_QUESTION_BEFORE_EXPIRY
    return last if now < last < ordinary else ordinary


def _gap(number: int) -> int:
    return GAPS[min(max(number, 0), len(GAPS) - 1)]


def _planned(payment: Transaction) -> datetime:
    """Return when the next question would have been without a hint: one that found no budget postpones nothing."""
    gaps = sum(_gap(number) for number in range(payment.checks))
    return (payment.prompted_at or payment.created_at) + timedelta(seconds=settings.MPESA_QUERY_AFTER_SECONDS + gaps)
