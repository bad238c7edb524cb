"""What every socket of ours shares: it accepts, writes in order, beats, and survives whatever it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import parse_qs

import structlog
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.http import HttpRequest, parse_cookie
from django.utils.translation import get_language_from_request

import strict_json
from realtime import life
from realtime.eager import run_now
from realtime.life import COME_BACK

log = structlog.get_logger(__name__)

# Close codes: 44xx means do not come back, anything else come back. Daphne sends only 1000 and 3000–4999.
BAD_MESSAGE = 4400
NOT_ALLOWED = 4403
UNKNOWN_PAYMENT = 4404
TOO_MANY_SOCKETS = 4429

HEARTBEAT_SECONDS = 15.0
LIFETIME_SECONDS = 12 * 3600.0  # well before Daphne's own 24 h, which would close with 1000: never come back
LIFETIME_JITTER_SECONDS = 3600.0
FORGIVEN_MESSAGES = 3
MESSAGES_PER_HEARTBEAT = 50  # more is no page of ours
LONGEST_MESSAGE = 256  # characters
LARGEST_VERSION = 2**31 - 1


class LiveSocket(AsyncWebsocketConsumer):
    """What every socket of ours shares: it accepts, refuses by close code, and survives whatever it is sent.

    It has no channel of its own (listener.py hears for all), and no thread hop per message as Channels' own
    dispatch makes: no handler here touches the ORM on the loop.
    """

    version = 0  # the last one sent
    _ping_is_due = False
    _is_writing = False
    _writer: asyncio.Task[None] | None = None  # while a send has to wait
    _timer: asyncio.TimerHandle | None = None
    _is_over = False
    _bad_messages = 0
    _messages = 0  # since the last heartbeat

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scope, self.base_send = scope, send
        life.sockets.add(self)
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            life.sockets.discard(self)
            self.leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle one message; an error of ours closes this socket with "come back" and harms nothing else."""
        try:
            await getattr(self, get_handler_name(message))(message)
        except StopConsumer:
            raise
        except (DatabaseError, TimeoutError) as error:
            log.warning("socket.database_unavailable", error=type(error).__name__)
            await self.finish(COME_BACK)
        except Exception:
            log.exception("socket.failed")
            await self.finish(COME_BACK)

    async def websocket_disconnect(self, message: dict[str, Any]) -> NoReturn:
        raise StopConsumer

    async def finish(self, code: int) -> None:
        """Close the socket, accepted as it is: unaccepted, a browser would see 1006 and come back for ever."""
        self.leave()
        with contextlib.suppress(Exception):  # already gone
            await self.close(code)

    def leave(self) -> None:
        """Let go of everything; may be called twice."""
        self._is_over = True
        self._ping_is_due = False
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None and self._writer is not asyncio.current_task():
            self._writer.cancel()

    # Out: one coroutine writes, which is no task until it has to wait, so a slow reader holds up nothing and nobody

    @property
    def has_news(self) -> bool:
        """Whether `send_news` has something to send."""
        return False

    async def send_news(self) -> None:
        """Send the next piece of what waits."""

    def write_soon(self) -> None:
        """Send what there is to send, now unless the server has to wait for the reader."""
        if not self._is_writing and not self._is_over:
            self._is_writing = True
            self._writer = run_now(self._write())

    async def _write(self) -> None:
        try:
            while self.has_news or self._ping_is_due:
                await self._write_next()
        except Exception as error:
            if _is_gone(error):
                self.leave()
            else:
                log.exception("socket.write_failed")
                await self.finish(COME_BACK)
        finally:
            self._is_writing, self._writer = False, None

    async def _write_next(self) -> None:
        if self.has_news:
            await self.send_news()
        elif asyncio.get_running_loop().time() > self._ends_at:
            await self.finish(COME_BACK)
        else:
            self._ping_is_due = False
            await self.send(text_data=_ping(self.version))

    # The heartbeat: without it a page never learns that its network was cut

    def start_heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        self._ends_at = loop.time() + LIFETIME_SECONDS + random.uniform(0, LIFETIME_JITTER_SECONDS)  # noqa: S311
        self._beats_at = loop.time() + HEARTBEAT_SECONDS
        self._timer = loop.call_at(self._beats_at, self.beat)

    def beat(self) -> None:
        """Send a ping, and come again."""
        self._messages = 0
        self._ping_is_due = True
        self.write_soon()
        self._beats_at += HEARTBEAT_SECONDS  # from beat to beat, or each would be a little later than the last
        self._timer = asyncio.get_running_loop().call_at(self._beats_at, self.beat)

    # In

    def note_seen(self, version: int) -> None:
        """Note that the page has painted `version`."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take `{"seen": version}`; anything else is forgiven a few times."""
        self._messages += 1
        seen = _read_seen(text_data) if self._messages <= MESSAGES_PER_HEARTBEAT else None
        if seen is not None:
            self.note_seen(seen)
            return
        self._bad_messages += 1
        if self._bad_messages > FORGIVEN_MESSAGES and not self._is_over:
            await self.finish(BAD_MESSAGE)


@lru_cache(maxsize=256)
def _ping(version: int) -> str:
    return json.dumps({"type": "ping", "version": version})


def _is_gone(error: Exception) -> bool:
    """Return whether a send failed because the socket is closed.

    The specification has OSError for it; uvicorn, once it has closed a socket itself for a broken frame, RuntimeError.
    """
    return isinstance(error, OSError) or "after sending 'websocket.close'" in str(error)


def _read_seen(text: str | None) -> int | None:
    """Return the version that a page says it shows; None for every other message."""
    if text is None or len(text) > LONGEST_MESSAGE:
        return None
    try:
        message = strict_json.read(text.encode())
    except ValueError:
        return None
    seen = message.get("seen") if isinstance(message, dict) else None
    return seen if type(seen) is int and 1 <= seen <= LARGEST_VERSION else None


def asks_for_json(scope: dict[str, Any]) -> bool:
    return parse_qs(scope["query_string"].decode("latin-1")).get("format") == ["json"]


def reader_language(scope: dict[str, Any]) -> str:
    """Return the language that Django would answer this reader in: the cookie's, then the browser's."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    request = HttpRequest()
    request.COOKIES = parse_cookie(headers.get(b"cookie", ""))
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", "")
    return get_language_from_request(request)
