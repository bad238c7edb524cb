"""Reads for sockets, in threads of their own.

Channels' `database_sync_to_async` shares one thread between all consumers: one slow query held every push for
seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from payments.db import DatabaseThreads

P = ParamSpec("P")
T = TypeVar("T")

READ_SECONDS = 15.0  # also when a restart has thousands of pages come back at once; who waits longer comes back
_readers = DatabaseThreads(4, name="realtime-read")
_aside = DatabaseThreads(1, name="board-read")


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a query off the loop; raises TimeoutError after `READ_SECONDS` and whatever the database raises."""
    async with asyncio.timeout(READ_SECONDS):
        return await _readers.run(function, *args, **kwargs)


async def read_aside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same for the staff's boards, in one thread of their own: no customer waits behind what they count."""
    async with asyncio.timeout(READ_SECONDS):
        return await _aside.run(function, *args, **kwargs)
