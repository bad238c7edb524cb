"""The boards that are open in this process, and the one task that paints them all.

However many payments change and however many boards are open, what has changed is read and rendered once per look
and paint, at most four times a second, and counted at most once a second. Touched by the server's loop alone.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

import structlog

from realtime.board import painter
from realtime.board.look import Look
from realtime.change import Change
from realtime.database import read_aside

log = structlog.get_logger(__name__)

PAINT_EVERY = 0.25  # seconds at least between two paints
COUNT_EVERY = 1.0  # seconds at least between two counts
COUNT_AT_REST = 5.0  # seconds between counts when nothing has changed: lamps and the last hour move on
REMEMBERED = 5_000  # payments whose last painted version is known: the tailer names each several times
AT_ONCE = 8  # boards that are sent to without a pause: a customer's page may be waiting for its turn
RETRY = 1.0  # seconds after a paint that the database refused

News = dict[UUID, Change | None]


class Board(Protocol):
    """An open board."""

    look: Look

    def show(self, text: str) -> None:
        """Send `text` soon, after what was given before."""


class Room:
    """Collects what has changed since the last paint; `notice` costs next to nothing."""

    def __init__(self) -> None:
        self._boards: set[Board] = set()
        self._news: News = {}
        self._seen: dict[str, float] = {}
        self._painted: OrderedDict[UUID, int] = OrderedDict()
        self._figures: dict[Look, str] = {}
        self._has_news = asyncio.Event()
        self._counted_at = 0.0
        self._is_dirty = False
        self._counts_again = False
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._boards)

    def enter(self, board: Board) -> None:
        """Paint `board` from now on."""
        self._boards.add(board)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._has_news = asyncio.Event()
            self._counted_at = 0.0
            self._task = loop.create_task(self._run())

    def leave(self, board: Board) -> None:
        """Forget `board`; one that never entered is no matter."""
        self._boards.discard(board)
        if not self._boards:
            self._news.clear()
            self._seen.clear()
            self._painted.clear()
            self._figures.clear()

    def notice(self, transaction_id: UUID, version: int, change: Change | None = None) -> None:
        """Paint this version of a payment soon; of one that was painted already, only what was done about it counts."""
        if not self._boards:
            return
        if self._painted.get(transaction_id, 0) >= version:
            self._is_dirty |= change is not None
            return
        self._painted[transaction_id] = version
        self._painted.move_to_end(transaction_id)
        while len(self._painted) > REMEMBERED:
            self._painted.popitem(last=False)
        self._news[transaction_id] = change
        self._has_news.set()

    def notice_seen(self, seconds: Mapping[str, float]) -> None:
        """Paint soon when customers saw the end of these payments (seconds after the callback, by id)."""
        if self._boards:
            self._seen.update(seconds)
            self._has_news.set()

    async def _run(self) -> None:
        structlog.contextvars.clear_contextvars()  # it was begun in a request whose id is not ours
        loop = asyncio.get_running_loop()
        while self._boards:
            begun = loop.time()
            try:
                await self._paint(begun)
            except Exception as error:
                log.warning("board.not_painted", error=type(error).__name__)
                await asyncio.sleep(RETRY)
            await asyncio.sleep(max(0.0, begun + PAINT_EVERY - loop.time()))
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(COUNT_EVERY):
                await self._has_news.wait()
        except TimeoutError:
            pass

    async def _paint(self, now: float) -> None:
        news, self._news = self._news, {}
        seen, self._seen = self._seen, {}
        self._has_news.clear()
        try:
            if news:
                self._is_dirty = True
                await self._show(await read_aside(painter.feed, news, self._looks()))
            if seen:
                self._is_dirty = True
                await self._show(await read_aside(painter.seen, seen, self._looks()))
            if now - self._counted_at >= (COUNT_EVERY if self._is_dirty or self._counts_again else COUNT_AT_REST):
                # A count may be one that was shared a moment before the change: one more follows it.
                self._counts_again, self._is_dirty, self._counted_at = self._is_dirty, False, now
                await self._show_figures(await read_aside(painter.figures, self._looks()))
        except Exception:
            # Nothing is lost while the database is away.
            self._news, self._seen = {**news, **self._news}, {**seen, **self._seen}
            self._has_news.set()
            raise

    def _looks(self) -> set[Look]:
        return {board.look for board in self._boards}

    async def _show(self, texts: dict[Look, list[str]]) -> None:
        for number, board in enumerate(list(self._boards), start=1):
            for text in texts.get(board.look, ()):
                board.show(text)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _show_figures(self, texts: dict[Look, painter.Figures]) -> None:
        """Send the figures where they say something else than the last time."""
        new = {look: [f.text] for look, f in texts.items() if self._figures.get(look) != f.gist}
        self._figures = {look: f.gist for look, f in texts.items()}
        await self._show(new)


room = Room()
