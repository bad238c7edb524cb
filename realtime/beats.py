"""What this server process says of itself every few seconds; processes.py reads what all of them say."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

import structlog
from django.db import connection
from django.utils import timezone

from payments import reconciler, waiting
from realtime import broadcast, life, tailer
from realtime.audience import audience
from realtime.board.room import room
from realtime.models import ProcessBeat

log = structlog.get_logger(__name__)

EVERY = 5.0  # seconds
FORGET_AFTER = timedelta(hours=1)

NAME = uuid4().hex
_started_at: datetime | None = None  # the first beat, with which the reconciler starts too


async def run() -> None:
    """Say how this process is, for ever; a database that is away only makes it silent."""
    while life.goes_on():
        try:
            # Not among the readers: behind a thousand pages that come back at once it would be too late.
            await asyncio.to_thread(_beat_and_let_go, layer_answers=await _layer_answers())
        except Exception as error:
            log.debug("beat.failed", error=type(error).__name__)
        await asyncio.sleep(EVERY)


def _beat_and_let_go(*, layer_answers: bool) -> None:
    try:
        beat(layer_answers=layer_answers)
    finally:
        connection.close()


async def _layer_answers() -> bool:
    try:
        return await broadcast.probe()
    except Exception:
        return False


def beat(*, layer_answers: bool = True) -> None:
    """Write this process's line, and forget the processes that ended long ago."""
    global _started_at
    now = timezone.now()
    _started_at = _started_at or now
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
