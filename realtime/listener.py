"""This process's one ear on the channel layer.

Channels gives each socket a channel of its own; on Redis that is two subscriptions a visit, and a consumer that
cannot even accept while Redis is away. One channel for the process joins the group of every payment shown here, and
what it hears goes to the sockets directly. Leaving is lazy: a reload finds its group still joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog
from channels.layers import get_channel_layer

from realtime import layer, life
from realtime.audience import audience
from realtime.board.room import room
from realtime.change import Change
from realtime.portions import portions

log = structlog.get_logger(__name__)

REJOIN_SECONDS = 15.0  # FLUSHALL or a fail-over leaves a group empty and its sockets deaf, without a sign
JOINED_AT_ONCE = 50  # groups within the second that the layer has; then the loop gets to do other things
RETRY_SECONDS = 1.0  # after a failed read of the channel


class Listener:
    """Hears the groups of the payments shown here, and the boards' while one is open, on one loop and one layer."""

    def __init__(self, channel_layer: Any) -> None:
        self.layer = channel_layer
        self.loop = asyncio.get_running_loop()
        self.channel = layer.channel_name(channel_layer)
        self._joined: set[UUID] = set()
        self._hears_all = False
        # Without the context of the request that came first: its id does not belong into our log lines.
        self._tasks = [
            self.loop.create_task(work, context=contextvars.Context()) for work in (self._listen(), self._keep_groups())
        ]

    async def join(self, *transaction_ids: UUID) -> None:
        """Hear of the payments' changes from now on; when the layer is away, only the tailer does until it is back."""
        new = [key for key in transaction_ids if key not in self._joined]
        if new:
            await asyncio.sleep(0)  # the first time, for _listen to open the channel
            for groups in self._by_host(new):
                await layer.attempt(next(iter(groups)), self._add, groups)

    def _by_host(self, transaction_ids: Iterable[UUID]) -> Iterable[dict[str, UUID]]:
        """Return the payments by their groups' names, those of one host together: it fails with what is its own."""
        found: dict[int, dict[str, UUID]] = {}
        for transaction_id in transaction_ids:
            group = layer.group_name(transaction_id)
            found.setdefault(layer.host_of(self.layer, group), {})[group] = transaction_id
        return found.values()

    async def _add(self, groups: dict[str, UUID]) -> None:
        for group, transaction_id in groups.items():
            await self.layer.group_add(group, self.channel)
            self._joined.add(transaction_id)

    async def join_board(self) -> None:
        """Hear of every payment's changes from now on, while a board is open here."""
        if not self._hears_all:
            await asyncio.sleep(0)
            board = layer.BOARD_GROUP
            self._hears_all = await layer.attempt(board, self.layer.group_add, board, self.channel)

    async def refresh(self) -> None:
        """Join every group again that is wanted, and leave those that nobody here watches any more."""
        if self._hears_all and not room:
            await self._leave(layer.BOARD_GROUP)
        self._hears_all = False
        if room:
            await self.join_board()
        for transaction_id in list(self._joined):
            if transaction_id not in audience:
                self._joined.discard(transaction_id)
                await self._leave(layer.group_name(transaction_id))
        for some in portions(audience.watched(), JOINED_AT_ONCE):
            self._joined.difference_update(some)
            await self.join(*some)

    async def _leave(self, group: str) -> None:
        await layer.attempt(group, self.layer.group_discard, group, self.channel)

    async def _keep_groups(self) -> None:
        while life.goes_on():
            await asyncio.sleep(REJOIN_SECONDS)
            await self.refresh()

    async def _listen(self) -> None:
        while life.goes_on():
            try:
                message = await self.layer.receive(self.channel)
            except Exception as error:
                log.warning("listener.deaf", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        try:
            if message["type"] == "payments.seen":
                room.notice_seen(message["seconds"])
            elif message["type"] == "payments.changed":
                for facts in message["facts"]:
                    self._hear_change(Change(facts))
            else:
                self._hear_change(Change(message["facts"]))
        except Exception as error:  # another release of ours on the same Redis may say it differently
            log.warning("listener.not_understood", error=type(error).__name__)

    def _hear_change(self, change: Change) -> None:
        audience.deliver(change)
        room.notice(change.transaction_id, change.version, change)

    async def close(self) -> None:
        """Stop listening, within a second even when the layer is away."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(layer.CALL_SECONDS):
                await asyncio.gather(*self._tasks, return_exceptions=True)


_listener: Listener | None = None


def listener() -> Listener:
    """Return the listener of the running loop, and start it the first time."""
    global _listener
    channel_layer = get_channel_layer()
    loop = asyncio.get_running_loop()
    if _listener is None or _listener.loop is not loop or _listener.layer is not channel_layer:
        _listener = Listener(channel_layer)
    return _listener
