"""The end of a server process: first `/readyz` is red, then who waits is sent elsewhere, then work is finished.

The same under every server: each calls `drain` when it is told to stop, and then waits for its running requests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import structlog
from django.conf import settings

from payments import waiting

log = structlog.get_logger(__name__)

COME_BACK = 4000  # the close code for a page that shall come back, to whichever process takes it
GOODBYE_SECONDS = 2.0  # how long a socket that does not read may take to be closed
GRACE_SECONDS = 4  # to finish, beyond what Daraja may take


class Leaver(Protocol):
    async def finish(self, code: int) -> None: ...


sockets: set[Leaver] = set()  # every open socket of this process, payment's or board's
_is_draining = False


def is_draining() -> bool:
    """Return whether this process is on its way out and should be given no more work."""
    return _is_draining


def goes_on() -> bool:
    """Return whether the running task may go on; what runs for ever asks before each round.

    A Redis client that is cancelled in the middle of a call may raise an error of its own instead, and who outlives
    every error would then outlive its end.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


def longest_request() -> int:
    """Return the seconds that a running request may still take: one may be at Daraja."""
    return settings.DARAJA_TIMEOUT_SECONDS + GRACE_SECONDS


async def drain(*, notice: float = 0.0) -> None:
    """Turn `/readyz` red, give the proxy `notice` seconds to see it, then let sockets and held polls go."""
    global _is_draining
    _is_draining = True
    log.info("server.draining", sockets=len(sockets), held_polls=waiting.count())
    await asyncio.sleep(notice)
    waiting.release()
    goodbyes = [asyncio.ensure_future(socket.finish(COME_BACK)) for socket in list(sockets)]
    if goodbyes:
        await asyncio.wait(goodbyes, timeout=GOODBYE_SECONDS)


def begin() -> None:
    """Take work again: a new server in the same process, as in tests."""
    global _is_draining
    _is_draining = False


async def closing(send: Any, message: dict[str, Any]) -> None:
    """Send `message`; while draining an answer also ends its connection, so that the proxy sends nothing more on it."""
    if _is_draining and message["type"] == "http.response.start":
        message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
    await send(message)
