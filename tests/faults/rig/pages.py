"""Pages without a browser that follow the rules of static/checkout.js: what a customer would see, and when."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from contextlib import suppress
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.faults.rig.history import History

DO_NOT_COME_BACK = {4400, 4403, 4404, 4429}
SILENCE = 35.0  # seconds without a word, then the socket is given up
GRACE = 3.0  # seconds that a socket may take before we poll
RETRY = 3.0  # seconds between polls
LONGEST_PAUSE = 4.5  # seconds between attempts to connect
NO_FAREWELL = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends RST


class Page:
    """One open payment page. `moments`: when each version was first shown; `violations`: what no page may show.

    `has_ended`: the payment is no longer PENDING here. `address`: the loopback address it comes from, for a proxy that
    counts sockets by address. A page that does not poll is right by its socket alone, which says the present version
    when it opens.
    """

    def __init__(
        self,
        base_url: str,
        transaction_id: str,
        history: History,
        seed: int,
        *,
        polls: bool = True,
        address: str = "127.0.0.1",
    ) -> None:
        self.base_url, self.transaction_id, self.history, self.address = base_url, transaction_id, history, address
        self.polls = polls
        self.name, self.dice = f"page {transaction_id[:8]}", random.Random(seed)
        self.document: dict[str, Any] = {}
        self.moments: dict[int, float] = {}
        self.violations: list[str] = []
        self.reasons: set[str] = set()
        self.opened_at = time.monotonic()
        self._heard_at = self._lost_at = time.monotonic()
        self._is_live = self._may_connect = False
        self._wake, self.has_ended = asyncio.Event(), asyncio.Event()
        self._socket: ClientConnection | None = None

    @property
    def version(self) -> int:
        return int(self.document.get("version", 0))

    async def live(self) -> None:
        """Watch until cancelled."""
        self._may_connect = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            if self.polls:
                tasks.create_task(self._poll())

    def come_back(self) -> None:
        """Do what `online` and `visibilitychange` make the script do: trust no socket, look at once."""
        self._is_live = False
        self._wake.set()

    def reset(self) -> None:
        """Tear the connection down with a RST, as a phone does that changes its network; from the loop's own thread."""
        if self._socket is not None:
            transport = self._socket.transport
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_FAREWELL)
            transport.abort()

    def _show(self, document: dict[str, Any], source: str) -> None:
        if document["version"] <= self.version:
            return
        if self.document.get("status") == "COMPLETED" != document["status"]:
            self.violations.append(f"a page showed paid and then {document['status']}")
        self.document = document
        self.reasons.add(str(document["reason"]))
        self.moments.setdefault(document["version"], time.monotonic())
        if document["status"] != "PENDING":
            self.has_ended.set()
        self.history.note(self.name, source, version=document["version"], status=document["status"])

    async def _listen(self) -> None:
        url = _socket_url(self.base_url, self.transaction_id)
        while self._may_connect:
            try:
                here = (self.address, 0)
                async with connect(
                    url, open_timeout=5, close_timeout=1, ping_interval=None, local_addr=here
                ) as self._socket:
                    await self._hear(self._socket)
            except (OSError, TimeoutError, WebSocketException) as error:
                self.history.note(self.name, "lost", error=type(error).__name__)
            self._is_live, self._lost_at, self._socket = False, time.monotonic(), None
            await asyncio.sleep(self.dice.uniform(0.5, LONGEST_PAUSE))

    async def _hear(self, connection: ClientConnection) -> None:
        try:
            while True:
                message = json.loads(await self._next(connection))
                self._is_live = True
                if "transaction_id" in message:
                    self._show(message, "socket")
        except WebSocketException:
            if connection.close_code in DO_NOT_COME_BACK:
                self._may_connect = False
            self.history.note(self.name, "closed", code=connection.close_code)

    async def _next(self, connection: ClientConnection) -> str:
        """Return the next message; raises TimeoutError after silence, or when the page has come back to the front."""
        hearing = asyncio.ensure_future(connection.recv())
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({hearing, waking}, timeout=SILENCE, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                return str(hearing.result())
            self._wake.clear()
            raise TimeoutError
        finally:
            hearing.cancel()
            waking.cancel()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.dice.uniform(0.8, 1.2) * RETRY)
            if self._is_live or time.monotonic() - self._lost_at < GRACE:
                continue
            before = self.version
            try:
                document = await asyncio.to_thread(self._fetch)
            except (requests.RequestException, ValueError) as error:
                self.history.note(self.name, "no answer", error=type(error).__name__)
                continue
            if document.get("version", before) < before:
                self.violations.append(f"a poll answered version {document['version']} after {before}")
            if "version" in document:
                self._show(document, "poll")

    def _fetch(self) -> dict[str, Any]:
        url = f"{self.base_url}/payments/status/"
        return dict(requests.get(url, params={"transaction_id": self.transaction_id}, timeout=5).json())


async def first_words(base_url: str, transaction_ids: list[str], *, within: float) -> dict[str, int | None]:
    """Open a socket for each payment and return the version that it tells first; None after so many seconds."""
    told = await asyncio.gather(*(_first_word(base_url, each, within) for each in transaction_ids))
    return dict(zip(transaction_ids, told, strict=True))


async def _first_word(base_url: str, transaction_id: str, within: float) -> int | None:
    with suppress(OSError, TimeoutError, WebSocketException):
        async with asyncio.timeout(within), connect(_socket_url(base_url, transaction_id), close_timeout=1) as socket:
            while True:
                message = json.loads(await socket.recv())
                if "transaction_id" in message:
                    return int(message["version"])
    return None


def _socket_url(base_url: str, transaction_id: str) -> str:
    return f"{base_url.replace('http', 'ws', 1)}/ws/payments/{transaction_id}/?format=json"
