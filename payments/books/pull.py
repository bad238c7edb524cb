"""Read M-PESA's list of payments through Daraja: the last two days, page by page. Reading moves nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from payments.books.movements import Line, keep
from payments.c2b.pulled import take_listed
from payments.daraja import operator
from payments.daraja.client import DarajaError, OutcomeUnknown
from payments.daraja.operator import PulledRow
from payments.models import Reading

log = structlog.get_logger(__name__)

WINDOW = timedelta(hours=48)  # older payments are not listed
STILL_MOVING = timedelta(minutes=2)  # what is younger may not be listed yet
AT_ONCE = timedelta(hours=1)  # a page must stay small enough to be read
SMALLEST = timedelta(minutes=1)


def pull(*, hours: int = 48) -> Reading:
    """Read what M-PESA lists of the last `hours`; raises DarajaError, after noting it on the reading."""
    end = timezone.now() - STILL_MOVING
    start = max(end - timedelta(hours=hours), timezone.now() - WINDOW + STILL_MOVING)
    reading = Reading.objects.create(
        environment=settings.MPESA_ENVIRONMENT,
        source=Reading.Source.PULL,
        covers_from=start,
        covers_until=end,
    )
    try:
        _read(reading, start, end)
    except DarajaError as error:
        Reading.objects.filter(pk=reading.pk).update(
            state=Reading.State.FAILED, problem=f"{error.outcome}: {error}"[:250]
        )
        raise
    Reading.objects.filter(pk=reading.pk).update(state=Reading.State.DONE, ended_at=timezone.now())
    reading.refresh_from_db()
    return reading


def _read(reading: Reading, start: datetime, end: datetime) -> None:
    """Go through the time in pieces; where a page cannot be read, perhaps for its size, in smaller ones."""
    at, piece = start, AT_ONCE
    while at < end:
        until = min(at + piece, end)
        try:
            lines = _listed(at, until)
        except OutcomeUnknown:
            piece /= 2
            if piece < SMALLEST:
                raise
            continue
        keep(reading, lines)
        take_listed(lines)
        at, piece = until, AT_ONCE


def _listed(start: datetime, end: datetime) -> list[Line]:
    """Return all pages of a piece; a page that brings nothing new ends it, however the offset is counted."""
    found: dict[str, PulledRow] = {}
    while rows := operator.pull_transactions(start=start, end=end, offset=len(found)):
        before = len(found)
        found |= {row.receipt: row for row in rows}
        if len(found) == before:
            break
    return [
        Line(
            receipt=row.receipt.upper(),
            completed_at=row.completed_at,
            cents_in=int(row.amount * 100),
            details=row.kind,
            account_reference=row.account_reference.strip().upper()[:40],
        )
        for row in found.values()
    ]
