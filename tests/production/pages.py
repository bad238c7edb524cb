"""Open pages as static/checkout.js is one: a socket that comes back after any close, and polls while it is away."""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import requests
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from tests.production.load import Visit

RECONNECT = (0.5, 2.0)  # seconds; checkout.js waits between these after a first close
AWAY = (OSError, WebSocketException, InvalidStatus, TimeoutError)


class Pages:
    """What each page shows: when it first said COMPLETED, and every close code that it saw."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        is_https = base_url.startswith("https")
        self._trusts = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"]) if is_https else None
        self.completed: dict[str, float] = {}
        self.closed: list[int | None] = []
        self.open = 0

    def late(self, visits: Sequence[Visit]) -> float:
        """Return the seconds from a callback's own answer to its page, of the page that had to wait longest."""
        return max(self.completed[visit.id] - visit.answered_at for visit in visits)

    def wait(self, ids: Sequence[str], *, within: float) -> list[str]:
        """Return the payments whose page does not say COMPLETED `within` seconds."""
        give_up = time.monotonic() + within
        while (missing := [key for key in ids if key not in self.completed]) and time.monotonic() < give_up:
            time.sleep(0.05)
        return missing

    async def watch(self, payment_id: str) -> None:
        while payment_id not in self.completed:
            try:
                await self._listen(payment_id)
            except AWAY:
                await self._poll(payment_id)
            await asyncio.sleep(random.uniform(*RECONNECT))

    async def _listen(self, payment_id: str) -> None:
        url = f"{self.base_url.replace('http', 'ws', 1)}/ws/payments/{payment_id}/?format=json"
        # From many addresses, as customers come: nginx and the shop both allow each of them only so many sockets.
        address = f"127.0.{1 + int(payment_id[:2], 16) % 32}.1"
        async with connect(url, open_timeout=5, ssl=self._trusts, local_addr=(address, 0)) as socket:
            self.open += 1
            try:
                async for message in socket:
                    if json.loads(message).get("status") == "COMPLETED":
                        self.completed.setdefault(payment_id, time.monotonic())
                        return
            finally:
                self.open -= 1
                self.closed.append(socket.close_code)

    async def _poll(self, payment_id: str) -> None:
        url = f"{self.base_url}/payments/status/?transaction_id={payment_id}"
        try:
            answer = await asyncio.to_thread(requests.get, url, timeout=5)
        except requests.RequestException:
            return
        if answer.status_code == 200 and answer.json()["status"] == "COMPLETED":
            self.completed.setdefault(payment_id, time.monotonic())


@contextmanager
def open_pages(base_url: str, ids: Sequence[str]) -> Iterator[Pages]:
    """Open a page for each payment, in a loop of its own thread, and close what is left at the end."""
    pages, loop = Pages(base_url), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    tasks = [asyncio.run_coroutine_threadsafe(pages.watch(key), loop) for key in ids]
    try:
        _wait_until_open(pages, len(ids))
        yield pages
    finally:
        for task in tasks:
            task.cancel()
        asyncio.run_coroutine_threadsafe(_all_ended(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)


async def _all_ended() -> None:
    """Wait until the pages' tasks have been cancelled, their sockets closed."""
    pages = asyncio.all_tasks() - {asyncio.current_task()}
    if pages:
        await asyncio.wait(pages, timeout=20)


def _wait_until_open(pages: Pages, count: int) -> None:
    give_up = time.monotonic() + 60
    while pages.open < count:
        assert time.monotonic() < give_up, f"{pages.open} of {count} pages are open"
        time.sleep(0.05)
