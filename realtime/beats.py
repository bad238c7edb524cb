"""What every server process says of itself every few seconds, and the sums over all of them.

Sockets and lamps of one process are no answer to "how many customers are watching": staff and `/metrics` read the sum
of the fresh lines, and how old the oldest of them is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import structlog
from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone

from payments import reconciler, waiting
from realtime import broadcast, tailer
from realtime.audience import audience
from realtime.board.room import room
from realtime.database import read
from realtime.models import ProcessBeat

log = structlog.get_logger(__name__)

EVERY = 5.0  # seconds
FRESH = timedelta(seconds=15)  # a process that has been silent for longer is gone, or worth nothing
FORGET_AFTER = timedelta(hours=1)

NAME = uuid4().hex
_started_at = timezone.now()


@dataclass(frozen=True)
class Processes:
    """All processes as one; `age` is the seconds since the oldest of the lines that are summed, None without any."""

    count: int = 0
    sockets: int = 0
    boards: int = 0
    pollers: int = 0
    deaf: int = 0  # processes whose channel layer does not answer
    tailed_at: datetime | None = None  # of the process whose tailer is furthest behind
    reconciled_at: datetime | None = None  # of the process whose reconciler is furthest ahead: one is enough
    age: float | None = None


async def run() -> None:
    """Say how this process is, for ever; a database that is away only makes it silent."""
    while True:
        try:
            await read(beat, layer_answers=await _layer_answers())
        except Exception as error:
            log.debug("beat.failed", error=type(error).__name__)
        await asyncio.sleep(EVERY)


async def _layer_answers() -> bool:
    try:
        return await broadcast.probe()
    except Exception:
        return False


def beat(*, layer_answers: bool = True) -> None:
    """Write this process's line, and forget the processes that ended long ago."""
    now = timezone.now()
    ProcessBeat.objects.update_or_create(
        name=NAME,
        defaults={
            "started_at": _started_at,
            "beat_at": now,
            "sockets": len(audience),
            "boards": len(room),
            "pollers": waiting.count(),
            "layer_answers": layer_answers,
            "tailed_at": _moment(tailer.age(), now),
            "reconciled_at": _moment(reconciler.last_pass_age(), now),
        },
    )
    ProcessBeat.objects.filter(beat_at__lt=now - FORGET_AFTER).delete()


def _moment(age: float | None, now: datetime) -> datetime | None:
    return None if age is None else now - timedelta(seconds=age)


def forget() -> None:
    """Take this process's line away: it ends, and its sockets with it."""
    ProcessBeat.objects.filter(name=NAME).delete()


def everybody() -> Processes:
    """Return the sum of the processes that are alive; one query."""
    now = timezone.now()
    fresh = ProcessBeat.objects.filter(beat_at__gt=now - FRESH)
    found = fresh.aggregate(
        count=Count("pk"),
        sockets=Sum("sockets", default=0),
        boards=Sum("boards", default=0),
        pollers=Sum("pollers", default=0),
        deaf=Count("pk", filter=Q(layer_answers=False)),
        tailed_at=Min("tailed_at"),
        reconciled_at=Max("reconciled_at"),
        oldest=Min("beat_at"),
    )
    oldest = found.pop("oldest")
    return Processes(**found, age=max(0.0, (now - oldest).total_seconds()) if oldest else None)
