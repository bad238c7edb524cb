"""Customers who come at random, buy, watch, look again, leave and come back; and two boards of the staff."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.many.shoppers import ADDRESSES, Counter, Shopper
from tests.faults.rig.history import History
from tests.faults.rig.pages import Page
from tests.production.stack import Stack
from tests.server import REPOSITORY

LOOKS_FOR = 25.0  # seconds that a customer looks at a page that does not end
GOOD = {"outcome": "paid", "delivery": "once"}
# What one payment in four is; the others are GOOD.
ODD = [
    {"outcome": "cancelled", "delivery": "once"},
    {"outcome": "insufficient_funds", "delivery": "once"},
    {"outcome": "paid", "delivery": "twice"},
    {"outcome": "paid", "delivery": "lost"},
    {"outcome": "paid", "delivery": "before_answer"},
    {"outcome": "paid", "delivery": "out_of_order"},
    {"outcome": "paid", "delivery": "late"},
    {"outcome": "silent"},
]
_numbers = itertools.count(1)


class Crowd:
    """Everybody. `loop`: where pages and visits live; what blocks goes to threads."""

    def __init__(
        self, stack: Stack, simulator_url: str, history: History, loop: asyncio.AbstractEventLoop, seed: int
    ) -> None:
        self.stack, self.history, self.loop = stack, history, loop
        self.counter, self.dice = Counter(stack.base_url, simulator_url, history), random.Random(seed)
        self.shoppers: list[Shopper] = []
        self._pages: set[Page] = set()
        self._visits: set[asyncio.Task[None]] = set()
        loop.call_soon_threadsafe(loop.set_default_executor, ThreadPoolExecutor(32))
        self.counter.simulate("default/", **GOOD)

    def come(self, *, rate: float, seconds: float) -> None:
        """Let `rate` customers a second come for so long; return when the last one has left."""
        asyncio.run_coroutine_threadsafe(self._come(rate, seconds), self.loop).result()

    def reset_pages(self) -> None:
        """Tear every open page's socket down without a farewell."""

        def reset() -> None:
            for page in list(self._pages):
                page.reset()

        self.loop.call_soon_threadsafe(reset)

    async def _come(self, rate: float, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            visit = asyncio.create_task(self._visit(next(_numbers)))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
            await asyncio.sleep(self.dice.expovariate(rate))
        if self._visits:
            await asyncio.wait(self._visits)

    async def _visit(self, number: int) -> None:
        plan = self.dice.choice(ODD) if self.dice.random() < 0.25 else GOOD
        shopper = Shopper(f"25479{number:07d}", plan, ADDRESSES[number % len(ADDRESSES)])
        self.shoppers.append(shopper)
        if plan is not GOOD:
            await asyncio.to_thread(self.counter.tell_phone, shopper.phone_number, plan)
        await asyncio.to_thread(self.counter.order, shopper)
        await asyncio.to_thread(self.counter.push, shopper)
        if shopper.transaction_id:
            await self._get(shopper, f"/payments/{shopper.transaction_id}/")
            devices = 2 if self.dice.random() < 0.1 else 1
            await asyncio.gather(*(self._look(shopper) for _device in range(devices)))

    async def _get(self, shopper: Shopper, path: str) -> None:
        await asyncio.to_thread(self.counter.ask, "GET", shopper, path)

    async def _look(self, shopper: Shopper) -> None:
        """Watch as a customer does: some only poll, some put the page away for a moment, all leave after a while."""
        if self.dice.random() < 0.1:
            path = f"/payments/status/?transaction_id={shopper.transaction_id}&since=1&wait=8"
            await self._get(shopper, path)
        version = 0
        if self.dice.random() < 0.2:
            version = await self._watch(shopper, self.dice.uniform(0.2, 1.5), version)
            await asyncio.sleep(self.dice.uniform(0.5, 3))
        await self._watch(shopper, LOOKS_FOR, version)

    async def _watch(self, shopper: Shopper, seconds: float, version: int) -> int:
        seed = self.dice.randrange(10**6)
        page = Page(self.stack.base_url, shopper.transaction_id, self.history, seed, address=shopper.address)
        self._pages.add(page)
        living = asyncio.create_task(page.live())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(page.has_ended.wait(), seconds)
            await asyncio.sleep(min(seconds, self.dice.uniform(0.5, 4)))
        finally:
            self._pages.discard(page)
            living.cancel()
            with suppress(asyncio.CancelledError):
                await living
        if page.version and page.version < version:
            shopper.violations.append(f"I4: a page opened again showed version {page.version} after {version}")
        shopper.violations += [f"I4: {violation}" for violation in page.violations]
        return page.version


class Boards:
    """Two boards of the staff, opened again every few minutes."""

    STAY = (60.0, 240.0)  # seconds

    def __init__(self, stack: Stack, loop: asyncio.AbstractEventLoop) -> None:
        self._stack, self._dice = stack, random.Random(0)
        self._cookie = f"sessionid={_session(stack)}"
        self.messages = 0
        self._tasks = [asyncio.run_coroutine_threadsafe(self._show(query), loop) for query in ("", "?format=json")]

    async def _show(self, query: str) -> None:
        url = f"{self._stack.base_url.replace('http', 'ws', 1)}/ws/staff/payments/{query}"
        headers = {"Cookie": self._cookie, "Origin": self._stack.base_url}
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with (
                    connect(url, additional_headers=headers, max_size=None, ping_interval=None) as board,
                    asyncio.timeout(self._dice.uniform(*self.STAY)),
                ):
                    async for _message in board:
                        self.messages += 1
            await asyncio.sleep(2)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


def _session(stack: Stack) -> str:
    command = [sys.executable, "-m", "bench.papo.staff"]
    environment = {**os.environ, **stack.settings}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()[-1]
