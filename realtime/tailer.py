"""The safety net: what is newer in the database than on the pages of this process, looked up every second.

It makes the in-memory layer right across processes, and a page right after every lost message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import structlog

from payments import waiting
from payments.documents import load_facts
from payments.models import Transaction
from realtime.audience import audience
from realtime.change import Change
from realtime.database import read

T = TypeVar("T")
log = structlog.get_logger(__name__)

EVERY = 1.0  # seconds between rounds
EVERY_WHILE_POLLS_ARE_HELD = 0.5  # a held poll answers within a second, also when another process was called back
IDS_PER_QUERY = 500
FACTS_PER_READ = 50  # then the loop gets to send them

_last_round: float | None = None
_is_failing = False


def age() -> float | None:
    """Return the seconds since the last round that reached the database, None before the first."""
    return None if _last_round is None else time.monotonic() - _last_round


async def run() -> None:
    """Go round for ever; a database that is away only makes rounds fail."""
    while True:
        await _attempt_round()
        await asyncio.sleep(EVERY_WHILE_POLLS_ARE_HELD if waiting.count() else EVERY)


async def _attempt_round() -> None:
    global _last_round, _is_failing
    try:
        await catch_up()
    except Exception as error:
        if not _is_failing:
            log.warning("tailer.failing", error=type(error).__name__)
        _is_failing = True
    else:
        if _is_failing:
            log.info("tailer.recovered")
        _last_round, _is_failing = time.monotonic(), False


async def catch_up() -> None:
    """Do one round: compare the versions of all that is watched here, wake held polls, send what is newer."""
    shown, polled = audience.watched(), waiting.watched()
    versions = await _current_versions([*(shown.keys() | polled.keys())])
    for transaction_id, since in polled.items():
        if versions.get(transaction_id, 0) > since:
            waiting.wake(transaction_id, versions[transaction_id])
    behind = [key for key, version in shown.items() if versions.get(key, 0) > version]
    for some in _portions(behind, FACTS_PER_READ):
        for facts in await read(_load, some):
            audience.deliver(Change(facts))


async def _current_versions(transaction_ids: Sequence[UUID]) -> dict[UUID, int]:
    versions: dict[UUID, int] = {}
    for some in _portions(transaction_ids, IDS_PER_QUERY):
        versions.update(await read(_read_versions, some))
    return versions


def _read_versions(transaction_ids: list[UUID]) -> dict[UUID, int]:
    rows = Transaction.objects.filter(pk__in=transaction_ids).order_by()
    return dict(rows.values_list("pk", "version"))


def _load(transaction_ids: list[UUID]) -> list[dict[str, Any]]:
    return [facts for key in transaction_ids if (facts := load_facts(key)) is not None]


def _portions(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion
