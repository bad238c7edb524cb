"""Channels' and asgiref's own test clients, made to wait as long as a busy machine may need.

Theirs give up after a second, which is a statement about the machine. How fast something comes is measured by
`make bench`; a test says that it comes.
"""

from __future__ import annotations

from typing import Any

from asgiref.testing import ApplicationCommunicator
from channels.testing import WebsocketCommunicator

from tests.patience import PATIENCE


class _Patient(ApplicationCommunicator):
    async def receive_output(self, timeout: float = PATIENCE) -> Any:  # noqa: ASYNC109 - as the library has it
        return await super().receive_output(max(timeout, PATIENCE))

    async def wait(self, timeout: float = PATIENCE) -> None:  # noqa: ASYNC109 - as the library has it
        await super().wait(max(timeout, PATIENCE))


class Exchange(_Patient):
    """One request to an ASGI application, and its answer."""


class Socket(_Patient, WebsocketCommunicator):
    """A WebSocket to an ASGI application."""

    async def leave(self) -> None:
        """Close it as a page that is left does; after a wait that failed there is nothing to close."""
        if not self.future.cancelled():
            await self.disconnect()
