"""The ASGI application, for any server: HTTP to Django, sockets to realtime, behind our own proxies only."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django

django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter

from handlers import HttpApplication
from middleware import BoundedBodies, RequestIds, TrustedProxies
from payments.callback_route import CallbackRoute
from payments.checks import refuse_wrong_settings
from realtime import background, life
from realtime.routing import websocket_application

refuse_wrong_settings()
http_application = CallbackRoute(BoundedBodies(HttpApplication()))
by_protocol = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application})
router = TrustedProxies(RequestIds(by_protocol))


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one connection; the first one starts what runs beside the requests, where a server has no lifespan."""
    background.start()
    if scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        await router(scope, receive, send if scope["type"] == "websocket" else partial(life.closing, send))


async def _live(receive: Any, send: Any) -> None:
    """Answer a server that says when it begins and ends; by then its requests have ended too."""
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await life.drain()
    await asyncio.to_thread(background.stop)
    await send({"type": "lifespan.shutdown.complete"})
