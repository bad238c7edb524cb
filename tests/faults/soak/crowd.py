"""Customers who come at random, buy, watch, look again, leave and come back; and two boards of the staff."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import urllib3
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.rig.history import History
from tests.faults.rig.pages import Page
from tests.production.stack import Stack
from tests.server import REPOSITORY

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 12)]  # nginx counts pushes and sockets by address
PATIENCE = 75.0  # seconds that a customer goes on clicking
AGAIN_AFTER = 0.7  # seconds
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


@dataclass
class Visitor:
    """One customer: a phone, an order, a payment, and what the pages showed that none may show."""

    phone_number: str
    address: str
    plan: dict[str, str]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    order_id: str = ""
    transaction_id: str = ""
    was_accepted: bool = False  # the shop had Daraja's id
    violations: list[str] = field(default_factory=list)


class Crowd:
    """Everybody. `loop`: where pages and visits live; what blocks goes to threads."""

    def __init__(
        self, stack: Stack, simulator_url: str, history: History, loop: asyncio.AbstractEventLoop, seed: int
    ) -> None:
        self.stack, self.simulator_url, self.history, self.loop = stack, simulator_url, history, loop
        self.dice = random.Random(seed)
        self.visitors: list[Visitor] = []
        self._pages: set[Page] = set()
        self._visits: set[asyncio.Task[None]] = set()
        self._pools = {address: urllib3.PoolManager(source_address=(address, 0)) for address in ADDRESSES}
        loop.call_soon_threadsafe(loop.set_default_executor, ThreadPoolExecutor(32))
        self._pools[ADDRESSES[0]].request("POST", f"{simulator_url}/api/default/", json=GOOD, timeout=10)

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
        visitor = Visitor(f"25479{number:07d}", ADDRESSES[number % len(ADDRESSES)], plan)
        self.visitors.append(visitor)
        if plan is not GOOD:
            await asyncio.to_thread(self._tell_phone, visitor)
        await asyncio.to_thread(self._buy, visitor)
        if visitor.transaction_id:
            await asyncio.to_thread(self._get, visitor, f"/payments/{visitor.transaction_id}/")
            devices = 2 if self.dice.random() < 0.1 else 1
            await asyncio.gather(*(self._look(visitor) for _device in range(devices)))

    def _tell_phone(self, visitor: Visitor) -> None:
        url = f"{self.simulator_url}/api/phones/{visitor.phone_number}/"
        self._pools[visitor.address].request("POST", url, json=visitor.plan, timeout=10)

    def _buy(self, visitor: Visitor) -> None:
        items = {"items": [{"sku": "unga-2kg", "quantity": 1}]}
        visitor.order_id = self._insist(visitor, "/api/orders/", items, "order_id").get("order_id", "")
        push = {"order_id": visitor.order_id, "phone_number": visitor.phone_number}
        answer = self._insist(visitor, "/payments/stk-push/", push, "transaction_id")
        visitor.transaction_id = answer.get("transaction_id", "")
        visitor.was_accepted = bool(answer.get("checkout_request_id"))

    def _insist(self, visitor: Visitor, path: str, body: dict[str, Any], wanted: str) -> dict[str, Any]:
        """Post until something answers with `wanted`; the same key makes every repetition harmless."""
        give_up = time.monotonic() + PATIENCE
        headers = {"Idempotency-Key": f"{visitor.key}{path}"}
        while time.monotonic() < give_up:
            document = self._ask("POST", visitor, path, json=body, headers=headers)
            if wanted in document and document.get("code") != "daraja_unreachable":
                return document
            time.sleep(AGAIN_AFTER)
        return {}

    def _get(self, visitor: Visitor, path: str) -> dict[str, Any]:
        return self._ask("GET", visitor, path)

    def _ask(self, method: str, visitor: Visitor, path: str, **more: Any) -> dict[str, Any]:
        url = f"{self.stack.base_url}{path}"
        try:
            answer = self._pools[visitor.address].request(method, url, timeout=35, retries=False, **more)
            return dict(json.loads(answer.data)) if "json" in answer.headers.get("Content-Type", "") else {}
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            self.history.note(visitor.phone_number, "no answer", path=path, error=type(error).__name__)
            return {}

    async def _look(self, visitor: Visitor) -> None:
        """Watch as a customer does: some only poll, some put the page away for a moment, all leave after a while."""
        if self.dice.random() < 0.1:
            path = f"/payments/status/?transaction_id={visitor.transaction_id}&since=1&wait=8"
            await asyncio.to_thread(self._get, visitor, path)
        version = 0
        if self.dice.random() < 0.2:
            version = await self._watch(visitor, self.dice.uniform(0.2, 1.5), version)
            await asyncio.sleep(self.dice.uniform(0.5, 3))
        await self._watch(visitor, LOOKS_FOR, version)

    async def _watch(self, visitor: Visitor, seconds: float, version: int) -> int:
        seed = self.dice.randrange(10**6)
        page = Page(self.stack.base_url, visitor.transaction_id, self.history, seed, address=visitor.address)
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
            visitor.violations.append(f"I4: a page opened again showed version {page.version} after {version}")
        visitor.violations += [f"I4: {violation}" for violation in page.violations]
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
