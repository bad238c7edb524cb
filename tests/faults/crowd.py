"""Threads that act at the same moment, each with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connection

Action = Callable[[], object]


class Crowd:
    """As many threads as there are actions; they begin together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size)
        self._start = threading.Barrier(size)

    def do(self, actions: list[Action]) -> list[object]:
        """Return what each action returned, or the exception that it raised."""
        assert len(actions) == self.size
        return [future.result() for future in [self._threads.submit(self._one, action) for action in actions]]

    def _one(self, action: Action) -> object:
        connection.ensure_connection()  # opening one would take longer than what is raced for
        self._start.wait(timeout=30)
        try:
            return action()
        except Exception as error:
            return error

    def go(self) -> None:
        self.do([lambda: connection.close()] * self.size)
        self._threads.shutdown()


@contextmanager
def crowd(size: int) -> Iterator[Crowd]:
    people = Crowd(size)
    try:
        yield people
    finally:
        people.go()
