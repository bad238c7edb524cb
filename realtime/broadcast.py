"""The one bridge from sync code to the channel layer: a payment has changed, so tell whoever watches it.

Everything here runs after the payment's commit and must not hurt it: nothing raises, nothing waits for Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from payments import waiting
from payments.documents import facts, load_facts
from payments.models import Transaction
from realtime import layer

log = structlog.get_logger(__name__)

MOST_SEEN = 500  # payments of one message; a board shows 200

_server_loop: asyncio.AbstractEventLoop | None = None
_in_flight: set[Future[None]] = set()  # a task that nobody refers to may be collected before it has run


def bind_server_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Send from now on through `loop`, on which the sockets of this process live."""
    global _server_loop
    _server_loop = loop


def announce(*, transaction_id: UUID, version: int, payment: Transaction | None = None, **kwargs: Any) -> None:
    """Tell held polls and open pages that a payment has a new version; the receiver of `transaction_changed`."""
    waiting.wake(transaction_id, version)
    try:
        _announce(transaction_id, payment)
    except Exception as error:  # the payment is committed, and the tailer brings the page what was lost here
        log.warning("announce.failed", transaction_id=str(transaction_id), error=type(error).__name__)


def _announce(transaction_id: UUID, payment: Transaction | None) -> None:
    loop = _living_loop()
    if loop is None and layer.is_in_memory():
        return  # a command: there is nobody in this process, and the servers' tailers will see the row
    known = facts(payment) if payment else load_facts(transaction_id)
    if known is None:
        return
    _start(loop, _send, transaction_id, {"type": "payment.changed", "version": known["version"], "facts": known})


def announce_seen(*, seconds: dict[str, float], **kwargs: Any) -> None:
    """Tell the boards when customers saw the end of their payments; the receiver of `ends_seen`."""
    loop = _living_loop()
    if loop is None and layer.is_in_memory():
        return
    newest = dict(islice(seconds.items(), max(0, len(seconds) - MOST_SEEN), None))
    _start(loop, _send_to_boards, {"type": "payments.seen", "seconds": newest})


def _start(loop: asyncio.AbstractEventLoop | None, send: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
    if loop is None:
        async_to_sync(send)(*args)
    else:
        _run_on(loop, send(*args))


def _living_loop() -> asyncio.AbstractEventLoop | None:
    return _server_loop if _server_loop is not None and _server_loop.is_running() else None


def _run_on(loop: asyncio.AbstractEventLoop, sending: Coroutine[Any, Any, None]) -> Future[None]:
    """Start `sending` on the server's loop and leave: from another thread's loop it would arrive a second late."""
    future = asyncio.run_coroutine_threadsafe(sending, loop)
    _in_flight.add(future)
    future.add_done_callback(_in_flight.discard)
    return future


async def _send(transaction_id: UUID, message: dict[str, Any]) -> None:
    group = layer.group_name(transaction_id)
    if await layer.send(group, message) or not layer.share_host(group, layer.BOARD_GROUP):
        await layer.send(layer.BOARD_GROUP, message)


async def _send_to_boards(message: dict[str, Any]) -> None:
    await layer.send(layer.BOARD_GROUP, message)


def layer_answers() -> bool:
    """Return whether the channel layer takes a message within its second; for `/readyz`, called from a thread."""
    loop = _living_loop()
    if layer.is_in_memory() or loop is None:
        return layer.is_in_memory()
    answers = asyncio.run_coroutine_threadsafe(probe(), loop)
    return answers.result(timeout=2 * layer.CALL_SECONDS)


async def probe() -> bool:
    """Return True when each host of the layer took a message within a second; raises otherwise."""
    channel_layer = get_channel_layer()
    async with asyncio.timeout(layer.CALL_SECONDS):
        for group in layer.probe_groups(channel_layer):
            await channel_layer.group_send(group, {"type": "probe"})
    return True
