"""Reads for sockets, in threads of their own.

Channels' `database_sync_to_async` shares one thread between all consumers: one slow query held every push for
seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connection

P = ParamSpec("P")
T = TypeVar("T")

READ_SECONDS = 15.0  # also when a restart has thousands of pages come back at once; who waits longer comes back
_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="realtime-read")
_aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="board-read")


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a query off the loop; raises TimeoutError after `READ_SECONDS` and whatever the database raises."""
    return await _read_in(_readers, lambda: function(*args, **kwargs))


async def read_aside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same for the staff's boards, in one thread of their own: no customer waits behind what they count."""
    return await _read_in(_aside, lambda: function(*args, **kwargs))


async def _read_in(threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    async with asyncio.timeout(READ_SECONDS):
        return await asyncio.get_running_loop().run_in_executor(threads, lambda: _with_fresh_connection(function))


def _with_fresh_connection(function: Callable[[], T]) -> T:
    _give_back_connection()
    try:
        return function()
    finally:
        _give_back_connection()


def _give_back_connection() -> None:
    """Do what the end of a request does: a restarted database would leave a dead connection in each thread."""
    # SQLite's file does not go away, and opening it costs a millisecond, more than the read itself.
    if connection.vendor != "sqlite" or connection.errors_occurred:
        close_old_connections()
