"""Database connections of threads: given back while something slow is waited for, or kept from call to call."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from jsonhttp import DATABASE_AWAY

P = ParamSpec("P")
T = TypeVar("T")

TRY_AGAIN_AFTER = 2.0  # seconds without another attempt once no connection could be had


def release_connection() -> None:
    """Give the connection back: a request that waits for Daraja or for news must not keep one from the others."""
    if not connection.in_atomic_block:
        connection.close()


def rest_connection() -> None:
    """End a round of work that comes again soon: PostgreSQL's connection goes back to the pool for the others.

    SQLite's stays with the thread while it is well, because to open the file costs more than a round does.
    """
    if connection.vendor != "sqlite" or connection.errors_occurred:
        connection.close()


def with_living_connection(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function`, and once more when its connection turns out dead: a restarted database leaves such behind.

    `function` must not mind being called twice. What fails on a connection that is well is raised at once.
    """
    try:
        return function(*args, **kwargs)
    except (OperationalError, InterfaceError):
        if connection.connection is None or connection.is_usable():
            raise
        connection.close()
        return function(*args, **kwargs)


class Outage:
    """Remembers that no connection could be had. To find that out takes seconds, which hold up all that wait behind.

    So only one caller every `TRY_AGAIN_AFTER` seconds tries again, and the others know at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._try_again_at: float | None = None

    def is_known(self) -> bool:
        """Return whether the database is away as far as one knows; False also for the one caller who is to try."""
        now = time.monotonic()
        with self._lock:
            if self._try_again_at is None:
                return False
            if now < self._try_again_at:
                return True
            self._try_again_at = now + TRY_AGAIN_AFTER
            return False

    def note(self) -> None:
        """Note that a call failed: an outage if it had no connection, and nothing if a statement failed on one."""
        if connection.connection is None:
            with self._lock:
                self._try_again_at = time.monotonic() + TRY_AGAIN_AFTER

    def end(self) -> None:
        """Note that a call reached the database."""
        self._try_again_at = None


outage = Outage()


def take_or_put_aside(take: Callable[[], T], put_aside: Callable[[], T]) -> T:
    """Return `take()`, called on a living connection, or `put_aside()` while the database is away.

    `take` must not mind being called twice. What it raises for another reason is raised.
    """
    if outage.is_known():
        return put_aside()
    try:
        taken = with_living_connection(take)
    except DATABASE_AWAY:
        outage.note()
        release_connection()
        return put_aside()
    outage.end()
    return taken


class DatabaseThreads:
    """A few threads that keep their connections: under ASGI every request has a new thread, which has to connect.

    Opening SQLite's file costs more than a callback's statements, and a connection from PostgreSQL's pool is asked
    whether it lives before each use.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in one of the threads, off the loop; raises what it raises. Its log lines say whose it is."""
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(
            self._threads, lambda: context.run(lambda: keeping_connection(function, *args, **kwargs))
        )


def keeping_connection(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` on this thread's connection and keep that for the next, unless something was wrong with it."""
    try:
        return with_living_connection(function, *args, **kwargs)
    finally:
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close()
