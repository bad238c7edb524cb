"""The safety net: what is newer in the database than on the pages of this process, looked up every second.

It makes the in-memory layer right across processes, and a page right after every lost message. It reads the end of
the payments' history, so a round costs what has changed and not how many pages are open.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import structlog
from django.db.models import Max

from payments import waiting
from payments.documents import AT_ONCE, load_facts_of
from payments.models import Transaction, TransactionEvent
from payments.reconciler import note_watched
from realtime import life
from realtime.audience import audience
from realtime.board.room import room
from realtime.change import Change
from realtime.database import read
from realtime.portions import portions

Versions = dict[UUID, int]
log = structlog.get_logger(__name__)

EVERY = 1.0  # seconds between rounds
EVERY_WHILE_POLLS_ARE_HELD = 0.5  # a held poll answers within a second, also when another process was called back
OVERLAP = 5.0  # seconds that are read again: a line with a lower number may be committed later
COMPARE_ALL_EVERY = 15.0  # seconds; finds what was committed even later than that
IDS_PER_QUERY = 500

_last_round: float | None = None
_is_failing = False


def age() -> float | None:
    """Return the seconds since the last round that reached the database, None before the first."""
    return None if _last_round is None else time.monotonic() - _last_round


async def run() -> None:
    """Go round for ever; a database that is away only makes rounds fail."""
    tailer = Tailer()
    while life.goes_on():
        await _attempt(tailer)
        await asyncio.sleep(EVERY_WHILE_POLLS_ARE_HELD if waiting.count() else EVERY)


async def _attempt(tailer: Tailer) -> None:
    global _last_round, _is_failing
    try:
        await tailer.catch_up()
    except Exception as error:
        if not _is_failing:
            log.warning("tailer.failing", error=type(error).__name__)
        _is_failing = True
    else:
        if _is_failing:
            log.info("tailer.recovered")
        _last_round, _is_failing = time.monotonic(), False


class Tailer:
    """Knows where the history of all payments ended, now and a few seconds ago."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque()  # when a round began, and the number of the last line then
        self._compared_at = 0.0

    async def catch_up(self) -> None:
        """Do one round: wake the held polls and bring the pages that are behind."""
        polled = waiting.watched()
        if not audience and not polled and not room:
            # A board that comes next must not miss what happens before its first round; pages are compared anyway.
            self._ends = deque([(time.monotonic(), await read(_end_of_history))])
            self._compared_at = 0.0
            return
        versions = await self._newer_versions(polled)
        for transaction_id, since in polled.items():
            if versions.get(transaction_id, 0) > since:
                waiting.wake(transaction_id, versions[transaction_id])
        if room:
            for transaction_id, version in versions.items():
                room.notice(transaction_id, version)
        await _deliver(audience.behind(versions))

    async def _newer_versions(self, polled: Versions) -> Versions:
        now = time.monotonic()
        if not self._ends:
            self._ends.append((now, await read(_end_of_history)))
        versions = await read(self._versions_in_recent_history, now)
        if now < self._compared_at + COMPARE_ALL_EVERY:
            return versions
        compared = await _versions_of([*(audience.watched() | polled.keys())])
        for some in portions(compared, IDS_PER_QUERY):
            await read(note_watched, some)
        self._compared_at = now
        return {**versions, **compared}  # what was compared is read later, so it is never older

    def _versions_in_recent_history(self, now: float) -> Versions:
        while len(self._ends) > 1 and self._ends[1][0] < now - OVERLAP:
            self._ends.popleft()
        lines = TransactionEvent.objects.filter(pk__gt=self._ends[0][1]).order_by("pk")
        versions: Versions = {}
        end = self._ends[-1][1]
        for number, transaction_id, version in lines.values_list("pk", "transaction_id", "version"):
            versions[transaction_id] = max(version, versions.get(transaction_id, 0))
            end = max(number, end)
        self._ends.append((now, end))
        return versions


async def _deliver(behind: Sequence[UUID]) -> None:
    for some in portions(behind, AT_ONCE):
        for facts in await read(load_facts_of, some):
            audience.deliver(Change(facts))


async def _versions_of(transaction_ids: Sequence[UUID]) -> Versions:
    versions: Versions = {}
    for some in portions(transaction_ids, IDS_PER_QUERY):
        versions.update(await read(_read_versions, some))
    return versions


def _end_of_history() -> int:
    return TransactionEvent.objects.aggregate(end=Max("pk"))["end"] or 0


def _read_versions(transaction_ids: list[UUID]) -> Versions:
    rows = Transaction.objects.filter(pk__in=transaction_ids).order_by()
    return dict(rows.values_list("pk", "version"))
