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
JUMP = 5.0  # seconds; less is how long an answer may be on its way, or a clock that is being corrected gently


@dataclass
class _Measured:
    """What this process knows; all in seconds. `base`: the moment at which time.monotonic() would have been 0."""

    base: float | None = None
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
    is_first, has_jumped = _measured.base is None, abs(step - _measured.step) > JUMP
    if not is_first and not has_jumped and monotonic < _measured.at + MEASURED_EVERY:
        return False
    base, before = _told() - time.monotonic(), _measured.base
    _measured.base, _measured.step, _measured.at = base, step, monotonic
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
