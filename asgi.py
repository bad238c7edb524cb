"""The ASGI application, for any server: HTTP to Django, sockets to realtime, behind our own proxies only."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter

from middleware import TrustedProxies
from payments.callback_route import CallbackRoute
from payments.checks import refuse_wrong_settings
from realtime import background
from realtime.routing import websocket_application

refuse_wrong_settings()
http_application = CallbackRoute(django_application)
router = TrustedProxies(ProtocolTypeRouter({"http": http_application, "websocket": websocket_application}))


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one connection; the first one starts what runs beside the requests, for Daphne has no lifespan."""
    background.start()
    await router(scope, receive, send)
