"""The channel layer, bounded: nobody here waits long for a Redis that is away, and nothing here raises.

Whatever is lost on the way is found by the tailer, so the layer is an accelerator and never a dependency.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from channels.layers import InMemoryChannelLayer, get_channel_layer

from realtime.breaker import Breaker
from realtime.dropped import FAILED, SKIPPED, count_dropped

CALL_SECONDS = 1.0  # a stalled Redis holds a call for 15 s otherwise
BOARD_GROUP = "payments.board"

# Groups that nobody is in, unlike enough that some lie on each host.
_PROBES = [f"probe.{hashlib.sha256(bytes([number])).hexdigest()[:16]}" for number in range(64)]

_breakers: dict[int, Breaker] = {}  # one for each host: a dead one must not cut off the pages of the living


def group_name(transaction_id: UUID) -> str:
    """Return the group of everybody who watches one payment."""
    return f"payment.{transaction_id.hex}"


def channel_name(channel_layer: Any) -> str:
    """Return a new channel of this process. With "!" the layer asks for it on the one host that it is sent to.

    A queue without it is looked for on one of several hosts after the other, for five seconds each.
    """
    return f"listener.{getattr(channel_layer, 'client_prefix', '')}!{uuid4().hex}"


def probe_groups(channel_layer: Any) -> list[str]:
    """Return groups that nobody is in: one on each host of the layer."""
    return list({host_of(channel_layer, group): group for group in _PROBES}.values())


def host_of(channel_layer: Any, group: str) -> int:
    """Return which of the layer's hosts a group lies on, counted from 0."""
    if hasattr(channel_layer, "consistent_hash"):
        return int(channel_layer.consistent_hash(group))
    if hasattr(channel_layer, "_get_shard"):
        shard = channel_layer._get_shard(channel_layer._get_group_channel_name(group))
        return int(channel_layer._shards.index(shard))
    return 0  # in memory


def share_host(one: str, other: str) -> bool:
    """Return whether two groups lie on the same host."""
    channel_layer = get_channel_layer()
    return host_of(channel_layer, one) == host_of(channel_layer, other)


def breaker_of(host: int) -> Breaker:
    """Return the breaker of one host."""
    if host not in _breakers:
        _breakers[host] = Breaker(f"channel layer, host {host + 1}")
    return _breakers[host]


def forget_failures() -> None:
    """Take every host for well again."""
    _breakers.clear()


def is_in_memory() -> bool:
    """Return whether the layer ends with this process."""
    return isinstance(get_channel_layer(), InMemoryChannelLayer)


async def attempt(group: str, call: Callable[..., Awaitable[Any]], *args: Any) -> bool:
    """Return whether `call`, which concerns `group`, succeeded within a second.

    It is not even tried while the host that the group lies on is known to be away.
    """
    return await _attempt(group, call, *args) is None


async def send(group: str, message: dict[str, Any]) -> bool:
    """Return whether the layer took a message to a group; one that it did not take is counted, the tailer finds it."""
    lost = await _attempt(group, get_channel_layer().group_send, group, message)
    if lost:
        count_dropped(lost)
    return lost is None


async def _attempt(group: str, call: Callable[..., Awaitable[Any]], *args: Any) -> str | None:
    """Return None when `call` succeeded, otherwise why it did not, as `dropped.py` counts it."""
    breaker = breaker_of(host_of(get_channel_layer(), group))
    if not breaker.allows():
        return SKIPPED
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await call(*args)
    except Exception as error:
        breaker.failed(error)
        return FAILED
    breaker.succeeded()
    return None
