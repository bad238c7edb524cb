"""Short ways to log staff in and to open their board's socket, for the tests of this app."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from realtime.database import read
from realtime.tests.sockets import communicator
from tests.communicators import Socket
from tests.patience import PATIENCE

PATH = "/ws/staff/payments/"
SEES = "view_transaction"


def make_staff(*permissions: str, **fields: Any) -> Any:
    user = get_user_model().objects.create_user(
        **{"username": f"staff-{secrets.token_hex(4)}", "is_staff": True, **fields}
    )
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="payments", codename__in=permissions))
    return user


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def headers_of(client: Client) -> dict[str, str]:
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    return {"Origin": settings.PUBLIC_BASE_URL, "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"}


async def new_staff(*permissions: str, **fields: Any) -> Client:
    """Return the browser of somebody new who has logged in."""
    return await read(lambda: logged_in(make_staff(*permissions, **fields)))


@asynccontextmanager
async def board_of(client: Client, query: str = "?format=json") -> AsyncIterator[Socket]:
    socket = communicator(f"{PATH}{query}", headers=headers_of(client))
    accepted, _ = await socket.connect()
    assert accepted
    try:
        yield socket
    finally:
        await socket.leave()


async def next_of(socket: Socket, kind: str) -> Any:
    """Return the next JSON message of a kind; others pass. A board hears of payments from its first totals on."""
    async with asyncio.timeout(PATIENCE):
        while (message := await socket.receive_json_from())["type"] != kind:
            pass
    return message


async def close_code_after_opening(socket: Socket) -> int:
    """Return the code with which an open socket is closed; messages pass."""
    async with asyncio.timeout(PATIENCE):
        while (output := await socket.receive_output())["type"] != "websocket.close":
            pass
    return int(output["code"])
