"""How often Daraja may be asked: one token bucket for all workers, kept by the database.

A bucket of `capacity` that refills so that capacity and refill together never pass the limit within any 60 s.
Hints without a token, which any stranger can send, have a bucket of their own with a tenth of the budget.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from payments.models import QueryBudget

SILENCE = timedelta(seconds=60)  # nobody asks for so long after Daraja said 429
HINTS_SHARE = 10  # hints use at most a tenth


def take_query(*, for_hint: bool = False) -> bool:
    """Take one question out of the budget; False when none is left, or Daraja has told us to be quiet."""
    if for_hint and not _take("hints", settings.MPESA_QUERIES_PER_MINUTE / HINTS_SHARE):
        return False
    return _take("queries", settings.MPESA_QUERIES_PER_MINUTE)


def take_receipt_question() -> bool:
    """Take one question about a receipt; half as many as queries, and apart: strangers can make us ask these."""
    return _take("receipts", settings.MPESA_QUERIES_PER_MINUTE / 2)


def be_silent() -> None:
    """Keep every worker from asking for a minute: Daraja answered 429 or Spike Arrest."""
    name = _name("queries")
    _row(name, _capacity(settings.MPESA_QUERIES_PER_MINUTE))  # a question about a receipt may be the first of all
    QueryBudget.objects.filter(name=name).update(silent_until=timezone.now() + SILENCE)


def is_silent() -> bool:
    """Return whether Daraja has told us, within the last minute, to be quiet."""
    return silent_until() is not None


def silent_until() -> datetime | None:
    """Return the end of the silence that Daraja asked for, None when there is none."""
    silent = QueryBudget.objects.filter(name=_name("queries"), silent_until__gt=timezone.now())
    return silent.values_list("silent_until", flat=True).first()


def _take(purpose: str, per_minute: float) -> bool:
    """Refill by the time that passed and take one token, in guarded UPDATEs: losers read again."""
    capacity = _capacity(per_minute)
    per_second = max(per_minute - capacity, per_minute / 2) / 60
    name = _name(purpose)
    for _attempt in range(8):
        row = _row(name, capacity)
        now = timezone.now()
        if row.silent_until and row.silent_until > now:
            return False
        seconds = max(0.0, (now - row.refilled_at).total_seconds())
        tokens = min(capacity, row.tokens + seconds * per_second)
        if tokens < 1:
            return False
        same = QueryBudget.objects.filter(name=name, refilled_at=row.refilled_at, tokens=row.tokens)
        if same.update(tokens=tokens - 1, refilled_at=now):
            return True
    return False


def _capacity(per_minute: float) -> float:
    return max(1.0, per_minute / 10)


def _row(name: str, capacity: float) -> QueryBudget:
    row = QueryBudget.objects.filter(name=name).first()
    return (
        row
        or QueryBudget.objects.get_or_create(name=name, defaults={"tokens": capacity, "refilled_at": timezone.now()})[0]
    )


def _name(purpose: str) -> str:
    return f"{settings.MPESA_ENVIRONMENT}.{purpose}"
