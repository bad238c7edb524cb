"""The staff's socket: every payment as it changes, and the figures; for those who may see them, as long as they may."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import structlog
from django.db import DatabaseError

from realtime import listener, live_socket
from realtime.audience import SOCKETS_PER_PROCESS, audience
from realtime.board import painter, rights
from realtime.board.look import Look, read_query
from realtime.board.room import room
from realtime.database import read, read_aside
from realtime.life import COME_BACK
from realtime.live_socket import NOT_ALLOWED, TOO_MANY_SOCKETS, LiveSocket, asks_for_json, reader_language

log = structlog.get_logger(__name__)

LONGEST_QUEUE = 1_000  # texts; who reads so slowly comes back and has the gap filled
UNPROVEN_SECONDS = 60.0  # how long an open board lives without its rights being read


class BoardConsumer(LiveSocket):
    """Sends what the room paints, in order. Rights and session are read again with every heartbeat."""

    look = Look()
    _checking: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._texts: deque[str] = deque()
        await self.accept()
        if await read(rights.staff_of, self.scope["headers"]) is None:
            await self.finish(NOT_ALLOWED)
        elif len(audience) + len(room) >= SOCKETS_PER_PROCESS:
            await self.finish(TOO_MANY_SOCKETS)
        else:
            await self._begin()

    async def _begin(self) -> None:
        given = read_query(self.scope["query_string"].decode("latin-1"))
        self.look = Look.of(given, language=reader_language(self.scope), as_json=asks_for_json(self.scope))
        self._proven_at = asyncio.get_running_loop().time()
        # Enter first, read then: a change in between comes twice instead of never.
        room.enter(self)
        await listener.listener().join_board()
        for text in await read_aside(painter.greeting, self.look, given.get("cursor", "")):
            self.show(text)
        self.start_heartbeat()

    def leave(self) -> None:
        super().leave()
        room.leave(self)
        if self._checking is not None and self._checking is not asyncio.current_task():
            self._checking.cancel()

    def show(self, text: str) -> None:
        """Send `text` soon, after what was given before."""
        if self._is_over:
            return
        self._texts.append(text)
        if len(self._texts) > LONGEST_QUEUE:
            self._texts.clear()
            self._checking = asyncio.get_running_loop().create_task(self.finish(COME_BACK))
        self.write_soon()

    @property
    def has_news(self) -> bool:
        return bool(self._texts)

    async def send_news(self) -> None:
        await self.send(text_data=self._texts.popleft())

    def beat(self) -> None:
        super().beat()
        self._checking = asyncio.get_running_loop().create_task(self._check_rights())

    async def _check_rights(self) -> None:
        now = asyncio.get_running_loop().time()
        with contextlib.suppress(DatabaseError, TimeoutError):  # away; it says who may see this when it is back
            if await read(rights.staff_of, self.scope["headers"]) is None:
                await self.finish(NOT_ALLOWED)
                return
            self._proven_at = now
        if now - self._proven_at > UNPROVEN_SECONDS - live_socket.HEARTBEAT_SECONDS:
            await self.finish(COME_BACK)
