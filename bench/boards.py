"""What the staff's boards cost the customers: the same server, the same callbacks, without boards and with fifty."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.apps import App
from bench.load import Sample, run_load
from bench.wire import Page, Refused
from tests.server import REPOSITORY

BOARDS = 50
BOARD_PATH = "/ws/staff/payments/"


class BoardPage(Page):
    """A board as a browser of the staff opens it. What it is sent it takes and throws away.

    To read it is the work of fifty other machines, and would be in the customers' figures here.
    """

    def __init__(self, url: str, *, origin: str, session: str) -> None:
        super().__init__(url, headers={"Origin": origin, "Cookie": f"sessionid={session}"})
        self.painted = 0  # bytes since the first message

    def data_received(self, data: bytes) -> None:
        if self.greeted.done():
            self.painted += len(data)
        else:
            super().data_received(data)


def session_of(app: App) -> str:
    """Return the session of somebody who may see the boards of `app`."""
    command = [sys.executable, "-m", "bench.papo.staff"]
    environment = {**os.environ, **app.settings}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()[-1]


async def measure(app: App, pages: int, *, rate: float, seed: int, boards: int, session: str) -> Sample:
    """Complete payments while so many boards are open."""
    async with _open_boards(app, boards, session):
        return await run_load(app, pages, rate=rate, seed=seed)


@asynccontextmanager
async def _open_boards(app: App, count: int, session: str) -> AsyncIterator[None]:
    origin = f"http://127.0.0.1:{app.port}"
    url = f"ws://127.0.0.1:{app.port}{BOARD_PATH}"
    boards = []
    for _ in range(count):
        _, board = await asyncio.get_running_loop().create_connection(
            lambda: BoardPage(url, origin=origin, session=session), "127.0.0.1", app.port
        )
        await board.greeted
        boards.append(board)
    try:
        yield
        if not all(board.painted and not board.is_lost for board in boards):
            raise Refused("A board was not painted, or was closed: nothing was measured.")
    finally:
        for board in boards:
            board.leave()
