"""Who is watching in this process: every open socket, by payment. Touched by the server's loop alone."""

from __future__ import annotations

from collections import Counter
from typing import Protocol
from uuid import UUID

from django.conf import settings

from realtime.change import Change

SOCKETS_PER_PAYMENT = 20
SOCKETS_PER_ADDRESS = 100
SOCKETS_PER_PROCESS = 5_000


class Watcher(Protocol):
    """A socket that shows one payment; `version` is the last one it sent, 0 before the first."""

    transaction_id: UUID
    address: str
    version: int

    def offer(self, change: Change) -> None:
        """Send `change` soon, unless something newer was sent or is about to be."""


class Audience:
    """The open sockets of one process; a payment is `watched` while it has at least one."""

    def __init__(self) -> None:
        self._watchers: dict[UUID, set[Watcher]] = {}
        self._addresses: Counter[str] = Counter()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, transaction_id: UUID) -> bool:
        return transaction_id in self._watchers

    def admit(self, watcher: Watcher) -> bool:
        """Count a socket in, and return True, unless there are too many of its kind."""
        if settings.RATE_LIMITS and self._is_full(watcher):
            return False
        self._watchers.setdefault(watcher.transaction_id, set()).add(watcher)
        self._addresses[watcher.address] += 1
        self._size += 1
        return True

    def _is_full(self, watcher: Watcher) -> bool:
        # A server on a unix socket names no peer: then there is no address to count by.
        from_there = self._addresses[watcher.address] if watcher.address else 0
        return (
            self._size >= SOCKETS_PER_PROCESS
            or from_there >= SOCKETS_PER_ADDRESS
            or len(self._watchers.get(watcher.transaction_id, ())) >= SOCKETS_PER_PAYMENT
        )

    def dismiss(self, watcher: Watcher) -> None:
        """Forget a socket; one that was never admitted is no matter."""
        watchers = self._watchers.get(watcher.transaction_id, set())
        if watcher not in watchers:
            return
        watchers.remove(watcher)
        self._size -= 1
        self._addresses[watcher.address] -= 1
        if not self._addresses[watcher.address]:
            del self._addresses[watcher.address]
        if not watchers:
            del self._watchers[watcher.transaction_id]

    def deliver(self, change: Change) -> None:
        """Hand a change to every socket that shows its payment."""
        for watcher in list(self._watchers.get(change.transaction_id, ())):
            watcher.offer(change)

    def watched(self) -> set[UUID]:
        """Return the payments that are shown here."""
        return set(self._watchers)

    def behind(self, versions: dict[UUID, int]) -> list[UUID]:
        """Return those of `versions` that a socket here has not yet sent."""
        return [
            key
            for key, version in versions.items()
            if any(watcher.version < version for watcher in self._watchers.get(key, ()))
        ]


audience = Audience()
