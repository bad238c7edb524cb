"""One clock for all processes: payments are dated, asked about and ended by the database's.

The clocks of two machines may differ by an hour, and any clock may jump. A payment that was dated by one clock and
judged by another would end at once, with its prompt still on the phone. SQLite has no clock of its own: its processes
share a machine and so a clock, and there only a jump can be noticed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone

log = structlog.get_logger(__name__)

MEASURED_EVERY = 10.0  # seconds
JUMP = 5.0  # seconds; less is a clock that is being corrected gently
SLOW = 1.0  # seconds; what an answer that took longer says of the time is old when it comes


@dataclass
class _Measured:
    """What this process knows; all in seconds. `base`: the moment at which time.monotonic() would have been 0."""

    base: float | None = None
    is_rough: bool = False  # the answer was slow, and better than none
    step: float = 0.0  # the same for this machine's own clock
    at: float = 0.0
    jumped_at: float | None = None


_measured = _Measured()


def now() -> datetime:
    """Return the present moment by the database's clock, as last measured; by this machine's where it has none."""
    if _measured.base is None or not _database_has_clock():
        return timezone.now()
    return datetime.fromtimestamp(_measured.base + time.monotonic(), UTC)


def measure() -> bool:
    """Compare the clocks when that is due; return whether ours has gone back, so that rows lie in its future."""
    monotonic, step = time.monotonic(), time.time() - time.monotonic()
    is_good, has_jumped = _measured.base is not None and not _measured.is_rough, abs(step - _measured.step) > JUMP
    if is_good and not has_jumped and monotonic < _measured.at + MEASURED_EVERY:
        return False
    told, answered = _told(), time.monotonic()
    is_slow = answered - monotonic > SLOW
    if is_slow and _measured.base is not None:
        return False  # the last measure is no worse; the next pass asks again
    base, before = told - answered, _measured.base if is_good else None
    _measured.base, _measured.is_rough, _measured.step, _measured.at = base, is_slow, step, monotonic
    if before is None or abs(base - before) <= JUMP:
        return False
    _measured.jumped_at = monotonic
    log.error("clock.jumped", seconds=round(base - before))
    return base < before


def may_end() -> bool:
    """Return whether time may end a payment: each has had its whole time by a clock that did not jump meanwhile."""
    since = _measured.jumped_at
    return since is None or time.monotonic() > since + settings.MPESA_EXPIRE_AFTER_SECONDS


def _database_has_clock() -> bool:
    return connection.vendor != "sqlite"


def _told() -> float:
    if not _database_has_clock():
        return time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])
