"""The short way of a callback: from the server to the inbox, past everything that only pages need.

Django's way costs several threads and a new database connection for each request. What is plainly a callback (POST,
a valid token, a body of known and moderate size, a host of ours) is therefore taken here, by the same
`inbox.receive`. All else goes to Django, whose view gives every other answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host

from middleware import headers_of
from payments.callback_token import read_callback_token
from payments.db import DatabaseThreads
from payments.inbox import LARGEST_CALLBACK
from payments.views.callbacks import receive

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

_PATH = re.compile(r"/(?:payments/callback|mpesa/stk_push_callback)/([0-9a-f]{32}\.[0-9a-f]{32})/?", re.ASCII)
_HEADERS_OF_INTEREST = frozenset({b"host", b"content-length", b"transfer-encoding"})
# SQLite lets one writer in at a time: several would only sleep on each other's lock.
_threads = DatabaseThreads(1 if connections["default"].vendor == "sqlite" else 4, name="callback")


class CallbackRoute:
    """Takes callbacks and passes everything else on to `django`."""

    def __init__(self, django: Application) -> None:
        self.django = django

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        transaction_id = _named_in(scope)
        if transaction_id is None:
            await self.django(scope, receive, send)
            return
        body = await _body(receive)
        if body is not None:
            address = (scope.get("client") or ("",))[0]
            await _answer(send, await _threads.run(_take, transaction_id, body, address or None))


def _named_in(scope: Scope) -> UUID | None:
    """Return the payment whose token the path carries, or None for whatever Django had better answer."""
    found = _PATH.fullmatch(scope["path"]) if scope["method"] == "POST" else None
    if found is None:
        return None
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _HEADERS_OF_INTEREST:
            if name in headers:
                return None
            headers[name] = value
    length = headers.get(b"content-length", b"")
    is_bounded = length.isdigit() and len(length) < 8 and int(length) <= LARGEST_CALLBACK
    if not is_bounded or b"transfer-encoding" in headers or not _is_our_host(headers.get(b"host", b"")):
        return None
    return read_callback_token(found[1])


@lru_cache(maxsize=64)
def _is_our_host(host: bytes) -> bool:
    domain, _port = split_domain_port(host.decode("latin-1"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


async def _body(receive: Any) -> bytes | None:
    """Return the body, None when the sender left before it was complete: then there is nobody to answer."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _take(transaction_id: UUID, body: bytes, remote_address: str | None) -> HttpResponse:
    return receive(transaction_id, body, remote_address)


async def _answer(send: Any, response: HttpResponse) -> None:
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers_of(response)}
    await send(start)
    await send({"type": "http.response.body", "body": response.content})
