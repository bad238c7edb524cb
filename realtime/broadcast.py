"""The one bridge from sync code to the sockets: a payment has changed, so tell whoever watches it.

The pages of this process are told on its loop at once, those of other processes through the channel layer. Everything
here runs after the payment's commit and must not hurt it: nothing raises, nothing waits for Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from payments import waiting
from payments.documents import Facts, facts, load_facts
from payments.models import Transaction
from realtime import layer
from realtime.audience import audience
from realtime.board.room import room
from realtime.change import Change

log = structlog.get_logger(__name__)

MOST_SEEN = 500  # payments of one message; a board shows 200
BOARDS_EVERY = 0.1  # seconds at least between two messages to the boards, which paint less often than that

_server_loop: asyncio.AbstractEventLoop | None = None
_in_flight: set[asyncio.Task[object]] = set()  # a task that nobody refers to may be collected before it has run
_for_boards: dict[str, Facts] = {}  # what they are told next, by transaction_id


def bind_server_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Send from now on through `loop`, on which the sockets of this process live."""
    global _server_loop
    _server_loop = loop
    _for_boards.clear()  # whoever was to send it ends with the last loop


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
    if loop is None:
        async_to_sync(_send_everywhere)(known)
    else:
        loop.call_soon_threadsafe(_tell, Change(known))


def announce_seen(*, seconds: dict[str, float], **kwargs: Any) -> None:
    """Tell the boards when customers saw the end of their payments; the receiver of `ends_seen`."""
    loop = _living_loop()
    newest = dict(islice(seconds.items(), max(0, len(seconds) - MOST_SEEN), None))
    if loop is not None:
        loop.call_soon_threadsafe(_tell_seen, newest)
    elif not layer.is_in_memory():
        async_to_sync(layer.send)(layer.BOARD_GROUP, _seen(newest))


# On the server's loop


def _tell(change: Change) -> None:
    """Tell the pages of this process, then the other processes; in memory there are none."""
    audience.deliver(change)
    if layer.is_in_memory():
        room.notice(change.transaction_id, change.version, change)
        return
    _start(layer.send(layer.group_name(change.transaction_id), _changed(change.facts)))
    if not _for_boards:
        asyncio.get_running_loop().call_later(BOARDS_EVERY, _tell_boards)
    key, known = change.facts["transaction_id"], change.facts
    _for_boards[key] = max(known, _for_boards.get(key, known), key=lambda facts: facts["version"])


def _tell_boards() -> None:
    news = list(_for_boards.values())
    _for_boards.clear()
    _start(layer.send(layer.BOARD_GROUP, _changed_for_boards(news)))


def _tell_seen(seconds: dict[str, float]) -> None:
    if layer.is_in_memory():
        room.notice_seen(seconds)
    else:
        _start(layer.send(layer.BOARD_GROUP, _seen(seconds)))


def _start(sending: Coroutine[Any, Any, object]) -> None:
    task = asyncio.get_running_loop().create_task(sending)
    _in_flight.add(task)
    task.add_done_callback(_in_flight.discard)


def _living_loop() -> asyncio.AbstractEventLoop | None:
    return _server_loop if _server_loop is not None and _server_loop.is_running() else None


async def _send_everywhere(known: Facts) -> None:
    """Tell the servers from a process that is none."""
    group = layer.group_name(UUID(known["transaction_id"]))
    if await layer.send(group, _changed(known)) or not layer.share_host(group, layer.BOARD_GROUP):
        await layer.send(layer.BOARD_GROUP, _changed_for_boards([known]))


def _changed(known: Facts) -> dict[str, Any]:
    return {"type": "payment.changed", "version": known["version"], "facts": known}


def _changed_for_boards(news: list[Facts]) -> dict[str, Any]:
    return {"type": "payments.changed", "facts": news}


def _seen(seconds: dict[str, float]) -> dict[str, Any]:
    return {"type": "payments.seen", "seconds": seconds}


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
