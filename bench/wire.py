"""The two connections of the load generator, as thin as they can be: what it costs itself is in every figure."""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Refused(Exception):
    """The server did not do what the measurement is about."""


class Page(asyncio.Protocol):
    """An open page: notes when it is told that its payment is completed. Answers pings."""

    def __init__(self, url: str, *, headers: dict[str, str] | None = None, offers_deflate: bool = False) -> None:
        self._headers = headers or {}
        extensions = [ClientPerMessageDeflateFactory()] if offers_deflate else None
        self._protocol = ClientProtocol(parse_uri(url), extensions=extensions)
        loop = asyncio.get_running_loop()
        self.opened = loop.create_future()
        self.greeted = loop.create_future()  # the first message, for applications that send the present state
        self.told = loop.create_future()  # when COMPLETED came (seconds of perf_counter), never: infinity
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._open(event)
            elif isinstance(event, Frame):
                self._take(event, now)
        self._flush()

    def _open(self, response: Response) -> None:
        if response.status_code == 101:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(Refused(f"The socket was refused with {response.status_code}."))

    def _take(self, frame: Frame, now: float) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._lose()
        elif frame.opcode is Opcode.TEXT:
            if not self.greeted.done():
                self.greeted.set_result(None)
            if b"COMPLETED" in frame.data and not self.told.done():
                self.told.set_result(now)

    def _lose(self) -> None:
        self.is_lost = True
        if not self.told.done():
            self.told.set_result(math.inf)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._lose()
        for future in (self.opened, self.greeted):
            if not future.done():
                future.set_exception(Refused("The server hung up before the socket was open and had said anything."))
                future.exception()  # nobody may be waiting for it

    def expect_no_greeting(self) -> None:
        """Take the page as greeted: its server says nothing before there is something new."""
        if not self.greeted.done():
            self.greeted.set_result(None)

    def leave(self) -> None:
        if not self._transport.is_closing():
            self._protocol.send_close(1001)
            self._flush()
            self._transport.close()


class Onlooker(Page):
    """One of thousands: once it is open it looks only for the word, so that the last one's time is the server's."""

    TEXT = 0x81  # the first byte of a text frame that is the whole message

    def data_received(self, data: bytes) -> None:
        if not self.greeted.done() or data[0] != self.TEXT:
            super().data_received(data)
        elif b"COMPLETED" in data and not self.told.done():
            self.told.set_result(time.perf_counter())


class Stream(asyncio.Protocol):
    """A page that listens to server-sent events; what it is told it throws away."""

    def __init__(self, path: str, port: int) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n"
        self.begun = asyncio.get_running_loop().create_future()
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        if not self.begun.done() and b"data:" in data:
            self.begun.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        if not self.begun.done():
            self.begun.set_exception(Refused("The server hung up on a stream."))

    def leave(self) -> None:
        self._transport.close()


class Caller(asyncio.Protocol):
    """A connection that posts callbacks one after the other."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._received = b""
        self._answer: asyncio.Future[float] | None = None

    def post(self, request: bytes) -> tuple[float, asyncio.Future[float]]:
        """Send a request; return when it left, and a future of when it was answered with 200 or 304."""
        self._answer = asyncio.get_running_loop().create_future()
        left = time.perf_counter()
        self._transport.write(request)
        return left, self._answer

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length, is_unchanged = LENGTH.search(head), head.startswith(b"HTTP/1.1 304 ")
        if not separator or self._answer is None or (length and not is_unchanged and len(body) < int(length[1])):
            return
        answer, self._answer, self._received = self._answer, None, b""
        if is_unchanged or (length and head.startswith(b"HTTP/1.1 200 ")):
            answer.set_result(now)
        else:
            answer.set_exception(Refused(f"A callback was answered {(head + separator + body)[:500]!r}."))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None:
            self._answer.set_exception(Refused("The server hung up on a callback."))
            self._answer = None

    @property
    def is_closed(self) -> bool:
        return bool(self._transport.is_closing())

    def close(self) -> None:
        self._transport.close()
