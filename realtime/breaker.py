"""Stop asking what does not answer, for a while."""

from __future__ import annotations

import time

import structlog

log = structlog.get_logger(__name__)

FAILURES = 3  # in a row, then there is a pause
PAUSE = 10.0  # seconds until one caller may try again


class Breaker:
    """Guards calls to something that may be away: after three failures in a row nobody calls for ten seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        self._failures = 0
        self._closed_until = 0.0

    def allows(self) -> bool:
        """Return whether to call now; after the pause it lets one caller try and keeps the others waiting."""
        if self._failures < FAILURES:
            return True
        if time.monotonic() < self._closed_until:
            return False
        self._closed_until = time.monotonic() + PAUSE
        return True

    def failed(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures == FAILURES:
            self._closed_until = time.monotonic() + PAUSE
            log.warning("breaker.opened", of=self.name, error=type(error).__name__)

    def succeeded(self) -> None:
        if self._failures >= FAILURES:
            log.info("breaker.closed", of=self.name)
        self._failures = 0
