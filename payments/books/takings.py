"""What was taken, by day, product and hour, and every payment as a line for the accountant. Whole KES, Nairobi's time.

Fees are not here: M-PESA does not tell them with a payment, and the shop's books have them from the statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import ExtractHour, TruncDate
from django.utils import timezone

from payments.books.day import bounds
from payments.models import Refund, Status, Transaction
from shop.models import Order, OrderLine

BATCH = 1000
ACCOUNTANT = (
    *("Day", "Time", "Kind", "Receipt", "Order", "Channel", "Reference"),
    *("Paid in (KES)", "Sent back (KES)", "Payment"),
)


class Row(NamedTuple):
    """One line of a report."""

    name: Any
    payments: int
    amount: int
    refunded: int = 0


def _paid(first: date, last: date) -> QuerySet[Transaction]:
    return Transaction.objects.filter(
        environment=settings.MPESA_ENVIRONMENT,
        status=Status.COMPLETED,
        completed_at__gte=bounds(first)[0],
        completed_at__lt=bounds(last)[1],
    ).order_by()


def _refunded(first: date, last: date) -> QuerySet[Refund]:
    return Refund.objects.filter(
        environment=settings.MPESA_ENVIRONMENT,
        state=Refund.State.DONE,
        ended_at__gte=bounds(first)[0],
        ended_at__lt=bounds(last)[1],
    ).order_by()


def by_day(first: date, last: date) -> list[Row]:
    """Return every day from `first` to `last`, those without money too; money sent back counts on its own day."""
    paid = _paid(first, last).annotate(day=TruncDate("completed_at")).values("day")
    back = _refunded(first, last).annotate(day=TruncDate("ended_at")).values("day")
    sums = {row["day"]: row for row in paid.annotate(payments=Count("pk"), taken=Sum("amount"))}
    sent = {row["day"]: row["sent"] for row in back.annotate(sent=Sum("amount"))}
    nothing = {"payments": 0, "taken": 0}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    found = [(day, sums.get(day, nothing)) for day in days]
    return [Row(day, row["payments"], row["taken"], sent.get(day, 0)) for day, row in found]


def by_hour(first: date, last: date) -> list[Row]:
    """Return the twenty-four hours of the day, over all days."""
    rows = _paid(first, last).annotate(hour=ExtractHour("completed_at")).values("hour")
    sums = {row["hour"]: row for row in rows.annotate(payments=Count("pk"), taken=Sum("amount"))}
    return [
        Row(f"{hour:02}:00", sums[hour]["payments"], sums[hour]["taken"])
        if hour in sums
        else Row(f"{hour:02}:00", 0, 0)
        for hour in range(24)
    ]


def by_product(first: date, last: date) -> list[Row]:
    """Return what was sold in orders that were paid in full then: pieces and KES, the most first."""
    sold = OrderLine.objects.filter(
        order__status=Order.Status.PAID,
        order__paid_at__gte=bounds(first)[0],
        order__paid_at__lt=bounds(last)[1],
        order__in=Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT).values("order"),
    ).order_by()
    rows = sold.values("name").annotate(pieces=Sum("quantity"), taken=Sum(F("unit_price") * F("quantity")))
    return [Row(row["name"], row["pieces"], row["taken"]) for row in rows.order_by("-taken", "name")]


def accountant_lines(first: date, last: date) -> Iterator[tuple[Any, ...]]:
    """Yield every payment and everything sent back, oldest first within each; no names, no phone numbers."""
    for payment in _paid(first, last).select_related("order").order_by("completed_at").iterator(BATCH):
        yield (
            *_when(payment.completed_at),
            *("payment", payment.mpesa_receipt_number or "", payment.order.number, payment.get_channel_display()),
            *(payment.account_reference, payment.amount, 0, payment.pk),
        )
    refunds = _refunded(first, last).select_related("transaction__order").order_by("ended_at")
    for refund in refunds.iterator(BATCH):
        yield (
            *_when(refund.ended_at),
            *("refund", refund.receipt, refund.transaction.order.number, refund.get_method_display()),
            *(refund.transaction.mpesa_receipt_number or "", 0, refund.amount, refund.transaction_id),
        )


def _when(moment: datetime | None) -> tuple[str, str]:
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}"
