"""What the board counts. Every query reads a stretch of one index, so its cost is that stretch's and not the table's.

Amounts are whole KES, times seconds. A payment is counted as paid or not paid when it became so, and as waiting
while it is. The day begins at midnight in the shop's time zone. docs/board.md has the plans and what they cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncMinute
from django.utils import timezone

from payments.models import Callback, Channel, Delivery, Reason, Source, Status, Transaction
from realtime.board.shared import Shared

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SAMPLE = 1_000  # payments of the last hour that times are taken from, the newest ones
NOT_ANSWERED = {Reason.NO_RESPONSE, Reason.PROMPT_EXPIRED, Reason.EXPIRED}


@dataclass(frozen=True)
class Period:
    """What became of payments in one stretch of time."""

    amount: int = 0
    completed: int = 0
    late: int = 0
    sources: dict[str, int] = field(default_factory=dict)  # who told of the successes
    reasons: dict[str, int] = field(default_factory=dict)  # of the failures, the most frequent first

    @property
    def failed(self) -> int:
        return sum(self.reasons.values())

    @property
    def settled(self) -> int:
        return self.completed + self.failed

    @property
    def success_rate(self) -> int | None:
        """Whole percent of what was settled, None when nothing was."""
        return round(100 * self.completed / self.settled) if self.settled else None

    def share_of(self, reasons: set[Any]) -> int | None:
        """Return in whole percent how many of the settled failed for one of `reasons`."""
        named = sum(count for reason, count in self.reasons.items() if reason in reasons)
        return round(100 * named / self.settled) if self.settled else None


@dataclass(frozen=True)
class Now:
    """The figures of this moment: `oldest` is when the payment began that has waited longest."""

    as_of: datetime
    today: Period
    hour: Period
    pending: int
    oldest: datetime | None


@dataclass(frozen=True)
class Minute:
    begins: datetime
    completed: int
    failed: int
    pending: int


@dataclass(frozen=True)
class Times:
    """Percentiles of one stretch of a payment's life, in seconds; None where nothing was measured."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @property
    def pair(self) -> str:
        """p50 and p95 as people read them: `31 / 84 ms`, `1.2 / 4.0 s`."""
        if self.p50 is None or self.p95 is None:
            return "–"
        if self.p95 < 1:
            return f"{self.p50 * 1000:.0f} / {self.p95 * 1000:.0f} ms"
        return f"{self.p50:.1f} / {self.p95:.1f} s"


@dataclass(frozen=True)
class Confirming:
    """How long it took to confirm the payments of the last hour, in all and in its parts."""

    in_all: Times
    daraja: Times  # from our request to Daraja's answer
    customer: Times  # from the prompt to the callback
    painted: Times  # from the callback to the customer's screen
    seen_share: int | None  # whole percent of the paid whose page said that it had shown it


def _mine() -> QuerySet[Transaction]:
    return Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT).order_by()


def _paid(since: datetime, until: datetime) -> QuerySet[Transaction]:
    return _mine().filter(status=Status.COMPLETED, completed_at__gte=since, completed_at__lt=until)


def _unpaid(since: datetime, until: datetime) -> QuerySet[Transaction]:
    return _mine().filter(status=Status.FAILED, failed_at__gte=since, failed_at__lt=until)


def midnight(now: datetime) -> datetime:
    """Return when the shop's day began."""
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def period(since: datetime, until: datetime) -> Period:
    """Return what became of payments from `since` to before `until`; two queries."""
    return _both(since, until, since)[0]


def _both(since: datetime, until: datetime, later: datetime) -> tuple[Period, Period]:
    """Return the stretches from `since` and from `later` in the same two queries, which read the longer one."""
    from_later = Q(completed_at__gte=later)
    paid = (
        _paid(since, until)
        .values("settled_by", "late")
        .annotate(
            n=Count("pk"),
            sum=Sum("amount"),
            n_later=Count("pk", filter=from_later),
            sum_later=Sum("amount", filter=from_later),
        )
    )
    unpaid = (
        _unpaid(since, until)
        .values("reason")
        .annotate(n=Count("pk"), n_later=Count("pk", filter=Q(failed_at__gte=later)))
    )
    paid_rows: list[Any] = list(paid)
    unpaid_rows: list[Any] = list(unpaid)
    return _gather(paid_rows, unpaid_rows, ""), _gather(paid_rows, unpaid_rows, "_later")


def _gather(paid: list[dict[str, Any]], unpaid: list[dict[str, Any]], which: str) -> Period:
    sources: dict[str, int] = {}
    for row in paid:
        sources[row["settled_by"]] = sources.get(row["settled_by"], 0) + row[f"n{which}"]
    reasons = {row["reason"]: row[f"n{which}"] for row in unpaid if row[f"n{which}"]}
    return Period(
        amount=sum(row[f"sum{which}"] or 0 for row in paid),
        completed=sum(sources.values()),
        late=sum(row[f"n{which}"] for row in paid if row["late"]),
        sources={source: count for source, count in sources.items() if count},
        reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
    )


def count_now() -> Now:
    """Return the figures of today and of the last hour; three queries."""
    now = timezone.now()
    day, hour = midnight(now), now - HOUR
    soon = now + timedelta(minutes=1)  # another process's clock may be a little ahead
    longer, shorter = _both(min(day, hour), soon, max(day, hour))
    today, last_hour = (longer, shorter) if day <= hour else (shorter, longer)
    open_now = _mine().filter(status=Status.PENDING).aggregate(n=Count("pk"), oldest=Min("created_at"))
    return Now(now, today, last_hour, open_now["n"], open_now["oldest"])


def count_yesterday() -> tuple[Period, Period]:
    """Return yesterday up to this time of day, and the hour that ended then."""
    now = timezone.now()
    return period(midnight(now - DAY), now - DAY), period(now - DAY - HOUR, now - DAY)


def count_minutes() -> list[Minute]:
    """Return the last 60 minutes, oldest first, the present one last; waiting ones by when they began."""
    this_minute = timezone.now().replace(second=0, microsecond=0)
    first = this_minute - timedelta(minutes=59)
    end = this_minute + timedelta(minutes=2)
    completed = _by_minute(_paid(first, end), "completed_at")
    failed = _by_minute(_unpaid(first, end), "failed_at")
    pending = _by_minute(_mine().filter(status=Status.PENDING, created_at__gte=first), "created_at")
    minutes = [first + timedelta(minutes=number) for number in range(60)]
    return [Minute(m, completed.get(m, 0), failed.get(m, 0), pending.get(m, 0)) for m in minutes]


def _by_minute(payments: QuerySet[Transaction], when: str) -> dict[datetime, int]:
    rows = payments.annotate(minute=TruncMinute(when)).values("minute").annotate(n=Count("pk"))
    return dict(rows.values_list("minute", "n"))


def count_times() -> Confirming:
    """Return how long the last hour's payments took, from the newest of them."""
    now = timezone.now()
    newest = _paid(now - HOUR, now + timedelta(minutes=1)).order_by("-completed_at")[:SAMPLE]
    rows = list(newest.values_list("pk", "created_at", "prompted_at", "completed_at"))
    heard = _deliveries(now - HOUR)
    told = [(prompted, *heard.get(key, (None, None, False))) for key, _, prompted, _ in rows]
    in_all = [_seconds(begun, done) for _, begun, _, done in rows]
    daraja = [_seconds(begun, prompted) for _, begun, prompted, _ in rows if prompted]
    customer = [_seconds(prompted, received) for prompted, received, *_ in told if prompted and received]
    # A page that was opened when all was over was not kept waiting.
    painted = [_seconds(received, seen) for _, received, seen, watched in told if received and seen and watched]
    seen_share = round(100 * sum(1 for row in told if row[2]) / len(told)) if told else None
    return Confirming(percentiles(in_all), percentiles(daraja), percentiles(customer), percentiles(painted), seen_share)


def _deliveries(since: datetime) -> dict[UUID, tuple[datetime | None, datetime | None, bool]]:
    """Return when the callbacks of the payments that ended since then came, when they were seen, and if a page waited.

    By the index on their own moment: joined to the payments, PostgreSQL would read every delivery there has been.
    """
    lately = Delivery.objects.filter(committed_at__gte=since).order_by("-committed_at")[: 2 * SAMPLE]
    rows = lately.values_list("transaction_id", "received_at", "painted_at", "watched")
    return {key: (received, painted, watched) for key, received, painted, watched in rows}


def _seconds(begin: datetime | None, end: datetime | None) -> float:
    return (end - begin).total_seconds() if begin and end else 0.0


def percentiles(seconds: list[float]) -> Times:
    """Return p50, p95 and p99 of a list, each a value that occurs in it."""
    ordered = sorted(max(0.0, value) for value in seconds)
    if not ordered:
        return Times(0)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99)]
    return Times(len(ordered), *at)


def last_callback() -> datetime | None:
    """Return when the last callback with a payment's token came."""
    heard = Callback.objects.filter(environment=settings.MPESA_ENVIRONMENT, trusted=True).order_by()
    last: datetime | None = heard.aggregate(last=Max("received_at"))["last"]
    return last


@dataclass(frozen=True)
class Lately:
    """What says how the asking and the hearing go, over a few minutes."""

    pushes: int  # prompts asked for in the last five minutes, without those that Daraja may still answer
    refused: int  # those of them that Daraja did not take
    by_callback: int  # settled in the last quarter of an hour because M-PESA called back
    by_asking: int  # settled because we asked, or because time ran out
    overdue: int  # still open long after their time was up

    @property
    def refused_share(self) -> float:
        return self.refused / self.pushes if self.pushes else 0.0


def count_lately() -> Lately:
    """Return how asking and hearing have gone lately; four queries."""
    now = timezone.now()
    prompts = _mine().filter(channel=Channel.STK)
    answered = now - timedelta(seconds=settings.DARAJA_TIMEOUT_SECONDS + settings.DARAJA_CONNECT_TIMEOUT_SECONDS + 2)
    begun = prompts.filter(created_at__gte=now - timedelta(minutes=5)).filter(
        Q(created_at__lt=answered) | ~Q(prompted_at=None) | ~Q(status=Status.PENDING)
    )
    lost = Q(prompted_at=None) & ~Q(status=Status.COMPLETED)
    pushes = begun.aggregate(n=Count("pk"), refused=Count("pk", filter=lost))
    quarter, soon = now - timedelta(minutes=15), now + timedelta(minutes=1)
    settled: dict[str, int] = {}
    for stretch in (_paid(quarter, soon), _unpaid(quarter, soon)):
        for source, count in stretch.values("settled_by").annotate(n=Count("pk")).values_list("settled_by", "n"):
            settled[source] = settled.get(source, 0) + count
    overdue = prompts.filter(status=Status.PENDING, expires_at__lt=now - timedelta(minutes=1)).count()
    by_asking = settled.get(Source.QUERY, 0) + settled.get(Source.EXPIRY, 0)
    return Lately(pushes["n"], pushes["refused"], settled.get(Source.CALLBACK, 0), by_asking, overdue)


now = Shared(count_now, seconds=0.9)
yesterday = Shared(count_yesterday, seconds=60)
minutes = Shared(count_minutes, seconds=2)
times = Shared(count_times, seconds=5)
lately = Shared(count_lately, seconds=5)
