"""A value that many want and that is worth computing once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_all: list[Shared[object]] = []


class Shared(Generic[T]):
    """Computes its value at most once in `seconds` for the whole process; who comes meanwhile gets the last one."""

    def __init__(self, compute: Callable[[], T], *, seconds: float) -> None:
        self._compute, self._seconds = compute, seconds
        self._lock = threading.Lock()
        self._value: T | None = None
        self._until = 0.0
        _all.append(self)  # type: ignore[arg-type]

    def get(self) -> T:
        """Return the value, computed anew when it is older than it may be; raises what computing raises."""
        with self._lock:
            if self._value is None or time.monotonic() >= self._until:
                self._value = self._compute()
                self._until = time.monotonic() + self._seconds
            return self._value

    def forget(self) -> None:
        """Compute anew the next time."""
        with self._lock:
            self._value = None


def forget_all() -> None:
    """Let nothing of one test reach the next."""
    for shared in _all:
        shared.forget()
