"""One day's two sums: what we say was taken and sent back, what M-PESA says, and what differs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from payments import mail
from payments.books.compare import compare, without_made_up
from payments.books.pull import pull
from payments.daraja.client import DarajaError
from payments.models import Finding, Movement, Reading, Refund, Status, Transaction
from shop.models import CURRENCY

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Side:
    """What one record says of a day; KES, M-PESA's to the cent."""

    payments: int
    amount: Decimal
    reversals: int
    reversed_amount: Decimal


@dataclass(frozen=True)
class Day:
    """One day in Nairobi. `is_covered`: M-PESA's record has been read for all of it."""

    date: date
    ours: Side
    theirs: Side
    is_covered: bool
    findings: QuerySet[Finding]

    @property
    def still_open(self) -> int:
        """How many findings nobody has resolved."""
        return self.findings.filter(resolved_at=None).count()

    @property
    def balances(self) -> bool:
        """Whether both records were read and agree to the shilling, or a person has explained every difference."""
        return self.is_covered and self.still_open == 0


def bounds(day: date) -> tuple[datetime, datetime]:
    """Return the first moment of a day in Nairobi and the first of the next."""
    start = timezone.make_aware(datetime.combine(day, time.min))
    return start, start + timedelta(days=1)


def load_day(day: date) -> Day:
    """Return what both records say of a day."""
    start, end = bounds(day)
    environment = settings.MPESA_ENVIRONMENT
    findings = Finding.objects.filter(environment=environment, happened_at__gte=start, happened_at__lt=end)
    return Day(day, _ours(environment, start, end), _theirs(environment, start, end), _is_covered(start, end), findings)


def _ours(environment: str, start: datetime, end: datetime) -> Side:
    paid = Transaction.objects.filter(
        environment=environment, status=Status.COMPLETED, completed_at__gte=start, completed_at__lt=end
    )
    back = Refund.objects.filter(
        environment=environment,
        method=Refund.Method.REVERSAL,
        state=Refund.State.DONE,
        ended_at__gte=start,
        ended_at__lt=end,
    )
    return _side(_totals(without_made_up(paid), "amount"), _totals(back, "amount"), 1)


def _theirs(environment: str, start: datetime, end: datetime) -> Side:
    moved = Movement.objects.filter(environment=environment, completed_at__gte=start, completed_at__lt=end)
    paid = moved.filter(kind=Movement.Kind.PAYMENT)
    back = moved.filter(kind=Movement.Kind.REVERSAL)
    return _side(_totals(paid, "cents_in"), _totals(back, "cents_out"), 100)


def _totals(rows: QuerySet, field: str) -> tuple[int, int]:
    found = rows.order_by().aggregate(rows=Count("pk"), amount=Sum(field))
    return found["rows"], found["amount"] or 0


def _side(paid: tuple[int, int], back: tuple[int, int], unit: int) -> Side:
    return Side(paid[0], Decimal(paid[1]) / unit, back[0], Decimal(back[1]) / unit)


def _is_covered(start: datetime, end: datetime) -> bool:
    """Return whether finished readings cover the whole day, one after the other."""
    at = start
    finished = Reading.objects.filter(
        environment=settings.MPESA_ENVIRONMENT, state=Reading.State.DONE, covers_until__gte=start, covers_from__lt=end
    )
    for first, last in finished.order_by("covers_from").values_list("covers_from", "covers_until"):
        if first is None or last is None or first > at + timedelta(seconds=61):
            break
        at = max(at, last)
    return at >= end - timedelta(seconds=61)


def close_day(day: date, *, pulls: bool) -> Day:
    """Read what M-PESA lists if asked to, compare, and write the letter about the day.

    Where M-PESA gives no list, the letter says that its record has not been read. Again for the same day, a letter is
    written only if there is something new to say.
    """
    if pulls:
        try:
            compare(pull())
        except DarajaError as error:
            log.warning("books.no_list", error=error.outcome)
    summary = load_day(day)
    body = _letter(summary)
    digest = hashlib.sha256(body.encode()).hexdigest()[:12]
    for address in settings.BOOKS_EMAIL:
        key = f"day-close:{day}:{digest}:{hashlib.sha256(address.encode()).hexdigest()[:12]}"
        mail.enqueue(key=key, to=address, subject=_subject(summary), body=body)
    return summary


def _subject(day: Day) -> str:
    words = _("the books match") if day.balances else _("please look")
    return f"{settings.SHOP_NAME} · {date_format(day.date, 'j M Y')}: {words}"


def _letter(day: Day) -> str:
    lines = [
        _("Our record: %(payments)s payments, %(amount)s; sent back %(back)s.") % _facts(day.ours),
        _("M-PESA's record: %(payments)s payments, %(amount)s; sent back %(back)s.") % _facts(day.theirs),
    ]
    if not day.is_covered:
        lines.append(_("M-PESA's record has not been read for the whole day: import the statement."))
    kinds = day.findings.filter(resolved_at=None).order_by().values("kind").annotate(found=Count("pk"))
    lines += [f"{Finding.Kind(row['kind']).label}: {row['found']}" for row in kinds]
    return "\n".join([*lines, "", f"{settings.PUBLIC_BASE_URL}/admin/payments/finding/books/?day={day.date}", ""])


def _facts(side: Side) -> dict[str, str]:
    return {
        "payments": f"{side.payments:,}",
        "amount": f"{CURRENCY} {side.amount:,.2f}",
        "back": f"{CURRENCY} {side.reversed_amount:,.2f}",
    }
