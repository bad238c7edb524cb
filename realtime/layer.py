"""The channel layer, bounded: nobody here waits long for a Redis that is away, and nothing here raises.

Whatever is lost on the way is found by the tailer, so the layer is an accelerator and never a dependency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from channels.layers import InMemoryChannelLayer, get_channel_layer

from realtime.breaker import Breaker

CALL_SECONDS = 1.0  # a stalled Redis holds a call for 15 s otherwise
BOARD_GROUP = "payments.board"

breaker = Breaker("channel layer")


def group_name(transaction_id: UUID) -> str:
    """Return the group of everybody who watches one payment."""
    return f"payment.{transaction_id.hex}"


def is_in_memory() -> bool:
    """Return whether the layer ends with this process."""
    return isinstance(get_channel_layer(), InMemoryChannelLayer)


async def attempt(call: Callable[..., Awaitable[Any]], *args: Any) -> bool:
    """Return whether `call` succeeded within a second; it is not even tried while the layer is known to be away."""
    if not breaker.allows():
        return False
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await call(*args)
    except Exception as error:
        breaker.failed(error)
        return False
    breaker.succeeded()
    return True
