"""Where sockets lead, for our own pages only."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from django.conf import settings
from django.urls import path, re_path

from jsonhttp import is_own_origin
from realtime.board.consumer import BoardConsumer
from realtime.consumers import PaymentConsumer, UnknownPath

STAFF_PATH = "/ws/staff/payments/"

_router = URLRouter(
    [
        path("ws/payments/<str:transaction_id>/", PaymentConsumer.as_asgi()),
        path(STAFF_PATH.removeprefix("/"), BoardConsumer.as_asgi()),
        re_path(r"", UnknownPath.as_asgi()),  # or Channels raises, and the server answers 500
    ]
)


async def websocket_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one socket; a page of somebody else's is refused in the handshake, with HTTP 403.

    What is no page at all is served too, except on the staff's socket: a cookie is all that opens it.
    """
    if comes_from_a_foreign_page(scope) or (scope["path"] == STAFF_PATH and not _origins(scope)):
        await receive()
        await send({"type": "websocket.close"})
        return
    # Daphne takes root_path from a header that any stranger may send, and URLRouter raises when it does not fit.
    await _router({**scope, "root_path": ""}, receive, send)


def comes_from_a_foreign_page(scope: dict[str, Any]) -> bool:
    """Return whether a browser says that another site's page opened this; no Origin at all is no browser."""
    origins = _origins(scope)
    port = (scope.get("server") or (None, None))[1] or settings.PORT  # a unix socket has none
    return len(origins) > 1 or any(not is_own_origin(origin, port=port) for origin in origins)


def _origins(scope: dict[str, Any]) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
