"""Held polls: requests of this process that wait until a payment has a newer version."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prometheus_client import Counter

HELD_PER_PAYMENT = 4
HELD_PER_PROCESS = 200

_polls = Counter(
    "papo_polls",
    "Polls that this process was asked: to answer at once, to hold until there is news, or to hold beyond its limits",
    ["kind"],
    registry=None,
)
collect = _polls.collect


class Waiter:
    """One held poll; `newer` resolves once a version above `since` is known."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._loop = asyncio.get_running_loop()
        self._newer = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Return True as soon as there is something newer, False when `seconds` are over."""
        try:
            await asyncio.wait_for(self._newer.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._newer.set)


_waiters: dict[UUID, set[Waiter]] = defaultdict(set)
_lock = threading.Lock()


@contextmanager
def held(transaction_id: UUID, since: int) -> Iterator[Waiter | None]:
    """Register a held poll before its payment is read, so that no change falls in between; None when too many."""
    waiter = _register(transaction_id, since)
    try:
        yield waiter
    finally:
        _forget(transaction_id, waiter)


def note_poll(waiter: Waiter | None, *, wait: int) -> None:
    """Count one poll that asked to be held for `wait` seconds, and whether it could be."""
    _polls.labels("at_once" if not wait else "held" if waiter else "beyond").inc()


def _register(transaction_id: UUID, since: int) -> Waiter | None:
    with _lock:
        in_all = sum(len(waiters) for waiters in _waiters.values())
        if in_all >= HELD_PER_PROCESS or len(_waiters.get(transaction_id, ())) >= HELD_PER_PAYMENT:
            return None
        waiter = Waiter(since)
        _waiters[transaction_id].add(waiter)
        return waiter


def _forget(transaction_id: UUID, waiter: Waiter | None) -> None:
    with _lock:
        waiters = _waiters.get(transaction_id, set())
        waiters.discard(waiter)
        if not waiters:
            _waiters.pop(transaction_id, None)


def wake(transaction_id: UUID, version: int) -> None:
    """Answer every held poll that has seen less than `version`; callable from any thread."""
    with _lock:
        waiters = [waiter for waiter in _waiters.get(transaction_id, ()) if version > waiter.since]
    for waiter in waiters:
        waiter.wake()


def release() -> None:
    """Answer every held poll with the document as it is: the server stops."""
    with _lock:
        waiters = [waiter for of_one_payment in _waiters.values() for waiter in of_one_payment]
    for waiter in waiters:
        waiter.wake()


def watched() -> dict[UUID, int]:
    """Return the payments that have held polls here, each with the lowest version already seen."""
    with _lock:
        return {key: min(waiter.since for waiter in waiters) for key, waiters in _waiters.items() if waiters}


def count() -> int:
    """Return how many polls are held by this process."""
    with _lock:
        return sum(len(waiters) for waiters in _waiters.values())
