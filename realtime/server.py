"""Daphne, with the edges that a payment server needs: bounded bodies, no client-made paths, a gentle stop."""

from __future__ import annotations

# First of all: it chooses Twisted's reactor, which any other Twisted import would choose for it.
import daphne.server as daphne_server  # isort:skip

import asyncio
import errno
from typing import Any

from autobahn.exception import Disconnected
from daphne.endpoints import build_endpoint_description_strings
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.defer import Deferred

from jsonhttp import problem
from middleware import LARGEST_BODY, LARGEST_SOCKET_MESSAGE, headers_of
from realtime import life

REQUEST_TIMEOUT = 60  # seconds, more than twice the longest held poll


class BoundedRequest(WebRequest):
    """A request whose body is thrown away beyond LARGEST_BODY: Daphne would hold all of it in memory."""

    received = 0

    def __init__(self, channel: Any, *queued: Any) -> None:
        # Django reads forms. What Twisted cannot read of one it would refuse itself, in no language and without a page.
        super().__init__(channel, *queued, parsePOSTFormSubmission=False)

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if self.received <= LARGEST_BODY:
            super().handleContentChunk(data)

    def process(self) -> Any:
        # Daphne takes a root path from this header, from anybody, and answers 500 when it is not ASCII.
        self.requestHeaders.removeHeader(b"Daphne-Root-Path")
        if self.received > LARGEST_BODY:
            return self._refuse(413, "too_large", "The body is too large.")
        if not self.method.isalpha():
            return self._refuse(400, "bad_request", "The method is not one of HTTP.")
        return super().process()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Say what Daphne has to say as the shop does, not on a page of Daphne's."""
        self._refuse(status, {400: "bad_request", 503: "unavailable"}.get(status, "internal_error"), body)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        answer = problem(status, code, detail)
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers_of(answer)})
        self.handle_reply({"type": "http.response.body", "body": answer.content})


class BoundedFactory(HTTPFactory):
    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        return protocol


class BoundedSocket(WebSocketProtocol):
    """A socket that hears short messages and may say long ones; Autobahn has one bound for both."""

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        # An Origin that Autobahn cannot read is as foreign as any other that is not ours.
        super().failHandshake(reason, 403 if reason.startswith("HTTP Origin header") else code, responseHeaders)

    def onMessageFrameBegin(self, length: int) -> None:
        """Close with 1009 where a message is too long; Autobahn would drop the connection, and the page come back."""
        self.failByDrop = False
        super().onMessageFrameBegin(length)
        self.failByDrop = True

    def serverSend(self, content: Any, binary: bool = False) -> None:
        bound: int = self.maxMessagePayloadSize  # type: ignore[has-type]
        self.maxMessagePayloadSize = 0
        try:
            super().serverSend(content, binary)
        except Disconnected as gone:
            raise ConnectionResetError from gone  # as other servers say it: no fault of anybody's
        finally:
            self.maxMessagePayloadSize = bound


class BoundedSockets(WebSocketFactory):
    protocol = BoundedSocket


class Server(daphne_server.Server):
    """One listening process. `problem` says in a sentence why it could not listen."""

    problem = ""

    def __init__(self, application: Any, *, host: str, port: int, ready_callable: Any) -> None:
        super().__init__(
            application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            http_timeout=REQUEST_TIMEOUT,
            websocket_max_message_size=LARGEST_SOCKET_MESSAGE,
            websocket_max_frame_size=LARGEST_SOCKET_MESSAGE,
            ready_callable=ready_callable,
            server_name="papo",
            # No action_logger: paths carry the secret tokens of callbacks.
        )
        self.host, self.port = host, port
        self.ports: list[Any] = []
        self.left_behind = False  # something did not finish in time

    def run(self) -> None:
        # Daphne takes none otherwise.
        daphne_server.HTTPFactory = BoundedFactory  # type: ignore[attr-defined]
        daphne_server.WebSocketFactory = BoundedSockets  # type: ignore[attr-defined]
        super().run()

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)
        super().listen_success(port)

    def listen_error(self, failure: Any) -> None:
        self.problem = self._in_words(failure.value)
        self.stop()

    def _in_words(self, error: Any) -> str:
        reason = getattr(error, "socketError", error)
        if getattr(reason, "errno", None) == errno.EADDRINUSE:
            return f"Port {self.port} on {self.host} is in use; stop what uses it or set PORT."
        return f"HOST {self.host} and PORT {self.port} cannot be listened on: {reason}."

    def kill_all_applications(self) -> Deferred[Any]:
        """Wind down before the reactor stops; Daphne's own trips over idle connections and drops running requests."""
        return Deferred.fromFuture(asyncio.ensure_future(self._wind_down()))

    async def _wind_down(self) -> None:
        """Accept nobody new, let sockets and held polls go, and wait for running requests: one may be at Daraja."""
        for port in self.ports:
            port.stopListening()
        await life.drain()
        sockets, requests = self._running()
        for task in sockets:
            task.cancel()
        if requests:
            await asyncio.wait(requests, timeout=life.longest_request())
        if sockets:
            await asyncio.wait(sockets, timeout=life.GRACE_SECONDS)
        self.left_behind = any(self._running())

    def _running(self) -> tuple[set[asyncio.Future[Any]], set[asyncio.Future[Any]]]:
        """Return the tasks of the sockets and those of the requests that have not finished."""
        found: tuple[set[asyncio.Future[Any]], set[asyncio.Future[Any]]] = (set(), set())
        for protocol, details in self.connections.items():
            task = details.get("application_instance")
            if task and not task.done():
                found[isinstance(protocol, WebRequest)].add(task)
        return found
