"""How often Daraja may be asked: one token bucket for all workers, kept by the database.

A bucket of `capacity` that refills so that capacity and refill together never pass the limit within any 60 s.
Hints without a token, which any stranger can send, have a bucket of their own with a tenth of the budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric

from payments import clock
from payments.models import QueryBudget

SILENCE = timedelta(seconds=60)  # nobody asks for so long after Daraja said 429
SHARES = {"queries": 1, "hints": 1 / 10, "receipts": 1 / 2}  # of MPESA_QUERIES_PER_MINUTE; hints out of the queries'

_questions = Counter(
    "papo_daraja_budget",
    "Questions that this process wanted to ask Daraja, by purpose, and whether the budget allowed them",
    ["purpose", "outcome"],
    registry=None,
)


def take_query(*, for_hint: bool = False) -> bool:
    """Take one question out of the budget; False when none is left, or Daraja has told us to be quiet."""
    return not (for_hint and not _take("hints")) and _take("queries")


def take_receipt_question() -> bool:
    """Take one question about a receipt; half as many as queries, and apart: strangers can make us ask these."""
    return _take("receipts")


def be_silent() -> None:
    """Keep every worker from asking for a minute: Daraja answered 429 or Spike Arrest."""
    name = _name("queries")
    _row(name, _capacity("queries"))  # a question about a receipt may be the first of all
    QueryBudget.objects.filter(name=name).update(silent_until=clock.now() + SILENCE)


def is_silent() -> bool:
    """Return whether Daraja has told us, within the last minute, to be quiet."""
    return silent_until() is not None


def silent_until() -> datetime | None:
    """Return the end of the silence that Daraja asked for, None when there is none."""
    silent = QueryBudget.objects.filter(name=_name("queries"), silent_until__gt=clock.now())
    return silent.values_list("silent_until", flat=True).first()


def per_minute(purpose: str) -> float:
    """Return how many questions a minute may be asked for `purpose`: queries, hints or receipts."""
    return settings.MPESA_QUERIES_PER_MINUTE * SHARES[purpose]


def _take(purpose: str) -> bool:
    taken = _take_token(purpose)
    _questions.labels(purpose, "allowed" if taken else "refused").inc()
    return taken


def _take_token(purpose: str) -> bool:
    """Refill by the time that passed and take one token, in guarded UPDATEs: losers read again."""
    name = _name(purpose)
    for _attempt in range(8):
        row = _row(name, _capacity(purpose))
        now = clock.now()
        if row.silent_until and row.silent_until > now:
            return False
        tokens = _tokens(row, purpose, now)
        if tokens < 1:
            return False
        same = QueryBudget.objects.filter(name=name, refilled_at=row.refilled_at, tokens=row.tokens)
        if same.update(tokens=tokens - 1, refilled_at=now):
            return True
    return False


def _capacity(purpose: str) -> float:
    return max(1.0, per_minute(purpose) / 10)


def _tokens(row: QueryBudget, purpose: str, now: datetime) -> float:
    """Return what the bucket holds now, refilled by the time that has passed."""
    limit, capacity = per_minute(purpose), _capacity(purpose)
    per_second = max(limit - capacity, limit / 2) / 60
    seconds = max(0.0, (now - row.refilled_at).total_seconds())
    return min(capacity, row.tokens + seconds * per_second)


def _row(name: str, capacity: float) -> QueryBudget:
    row = QueryBudget.objects.filter(name=name).first()
    return (
        row
        or QueryBudget.objects.get_or_create(name=name, defaults={"tokens": capacity, "refilled_at": clock.now()})[0]
    )


def _name(purpose: str) -> str:
    return f"{settings.MPESA_ENVIRONMENT}.{purpose}"


def collect() -> Iterator[Metric]:
    """Yield how full each bucket is, how much it refills, and for how long nobody asks; over all workers."""
    now = clock.now()
    rows = {row.name: row for row in QueryBudget.objects.filter(name__in=[_name(purpose) for purpose in SHARES])}
    left = GaugeMetricFamily("papo_daraja_budget_left", "Questions that may be asked at once", labels=["purpose"])
    limit = GaugeMetricFamily("papo_daraja_budget_per_minute", "Questions that a minute allows", labels=["purpose"])
    for purpose in SHARES:
        row = rows.get(_name(purpose))
        left.add_metric([purpose], _tokens(row, purpose, now) if row else _capacity(purpose))
        limit.add_metric([purpose], per_minute(purpose))
    yield left
    yield limit
    queries = rows.get(_name("queries"))
    until = queries.silent_until if queries and queries.silent_until else now
    silent = GaugeMetricFamily("papo_daraja_silent_seconds", "How long nobody asks, because Daraja said 429")
    silent.add_metric([], max(0.0, (until - now).total_seconds()))
    yield silent
    yield from _questions.collect()
