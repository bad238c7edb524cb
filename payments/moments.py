"""Moments as the facts of a payment carry them, as text in UTC, and what people and counters make of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format


def utc(moment: datetime | None) -> str | None:
    """Return a moment as JSON carries it, to the millisecond."""
    return moment.astimezone(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def read(text: str | None) -> datetime:
    """Return the moment that `utc` wrote; raises `ValueError` for anything else."""
    moment = parse_datetime(text or "")
    if moment is None:
        raise ValueError(text)
    return moment


def seconds_until(text: str | None, *, plus: timedelta = timedelta()) -> int:
    """Return the whole seconds until a moment and `plus`, rounded up; 0 when it is past."""
    return max(0, math.ceil((read(text) + plus - timezone.now()).total_seconds()))


def local(text: str | None) -> str:
    """Return a moment as people in Nairobi write it, in the active language; empty for none."""
    return date_format(timezone.localtime(read(text)), "j M Y, H:i") if text else ""
