"""What every request passes through that Django 5.2 does not bring: trusted proxies and the content policy."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

from environment import is_listed
from jsonhttp import problem

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class TrustedProxies:
    """Replace the peer of a connection by the client that our own proxies name.

    X-Forwarded-For is counted from the right, because its left end is whatever the caller wrote; it and
    X-Forwarded-Proto are believed only from TRUSTED_PROXIES.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if settings.TRUSTED_PROXIES and scope["type"] in {"http", "websocket"}:
            scope = self._resolved(scope)
        await self.application(scope, receive, send)

    def _resolved(self, scope: Scope) -> Scope:
        peer, port = (scope.get("client") or ("", 0))[:2]
        if not is_listed(peer, settings.TRUSTED_PROXIES):
            return scope
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        for hop in reversed(headers.get(b"x-forwarded-for", "").split(",")):
            if not _is_address(hop.strip()):
                break
            peer, port = hop.strip(), 0
            if not is_listed(peer, settings.TRUSTED_PROXIES):
                break
        secure = headers.get(b"x-forwarded-proto", "").strip().lower() == "https"
        schemes = {"http": ("http", "https"), "websocket": ("ws", "wss")}[scope["type"]]
        return {**scope, "client": (peer, port), "scheme": schemes[secure]}


class RequestIds:
    """Put `request_id` into every log line of a request or a socket, so that its lines can be found together.

    A proxy's X-Request-ID is kept, that both logs may be laid side by side; whatever is no plain id is replaced by one
    of our own, because it would stand in every line.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] in {"http", "websocket"}:
            structlog.contextvars.bind_contextvars(request_id=_request_id(scope["headers"]))
        await self.application(scope, receive, send)


_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    given = [value for name, value in headers if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0].decode("ascii")
    return secrets.token_hex(8)


POLLS = "/payments/status/"
HINTS = "/mpesa/stk_push_callback/"
LARGEST_BODY = 1024 * 1024  # bytes; the views allow less
LARGEST_SOCKET_MESSAGE = 4096  # bytes; pages send {"seen": 3}, and each server refuses more itself


class BoundedBodies:
    """Refuse a body beyond LARGEST_BODY before Django writes all of it to the disk, whatever server brings it."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        received = 0
        has_begun = False

        async def bounded() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise _BodyTooLarge
            return message

        async def noted(message: Scope) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            if _declared_length(scope) > LARGEST_BODY:
                raise _BodyTooLarge
            await self.application(scope, bounded, noted)
        except _BodyTooLarge:
            if not has_begun:
                await _refuse_body(send)


class _BodyTooLarge(Exception):
    """More than LARGEST_BODY is on its way: nothing of it is kept."""


def _declared_length(scope: Scope) -> int:
    texts = [value for name, value in scope["headers"] if name == b"content-length"]
    return max((int(text) for text in texts if text.isdigit() and len(text) < 20), default=0)


async def _refuse_body(send: Any) -> None:
    answer = problem(413, "too_large", "The body is too large.")
    headers = [*headers_of(answer), (b"connection", b"close")]  # the rest would be read as the next request
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def client_address(request: HttpRequest) -> str:
    """Return the address of the client, with our own proxies already taken away."""
    return request.META.get("REMOTE_ADDR") or ""


def one_caller(address: str) -> str:
    """Return what one caller is counted by: an IPv4 address, of IPv6 the /64 that one customer is given.

    Empty for what is no address, as where a server on a unix socket names no peer.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False).network_address
    return str(found)


def caller_who_logs_in(request: HttpRequest) -> str:
    """Return what wrong passwords are counted by: of one /64 a guesser could come from any number of addresses."""
    return one_caller(client_address(request))


def content_policy(**changes: list[str]) -> str:
    """Return the value of Content-Security-Policy: SECURE_CSP, the name that Django 6 gives it, with `changes`."""
    return "; ".join(f"{name} {' '.join(values)}" for name, values in {**settings.SECURE_CSP, **changes}.items())


def is_framed_by_us(request: HttpRequest) -> bool:
    """Whether the browser asks for the content of a frame on a page of ours; only the simulator's demo has any."""
    asked = request.headers.get("Sec-Fetch-Dest"), request.headers.get("Sec-Fetch-Site")
    return settings.SIMULATOR and asked == ("iframe", "same-origin")


@sync_and_async_middleware
def security_headers(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Set the content policy, the policies beside it, and whether the page may be in a frame."""
    policy, framed_policy = content_policy(), content_policy(**{"frame-ancestors": ["'self'"]})

    def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        is_framed = is_framed_by_us(request)
        response.headers.setdefault("Content-Security-Policy", framed_policy if is_framed else policy)
        response.headers.setdefault("X-Frame-Options", "SAMEORIGIN" if is_framed else settings.X_FRAME_OPTIONS)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
        return response

    if not iscoroutinefunction(get_response):
        return lambda request: finish(request, get_response(request))

    async def middleware(request: HttpRequest) -> HttpResponse:
        return finish(request, await get_response(request))

    return markcoroutinefunction(middleware)


def headers_of(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that is sent past Django, with those that its middlewares set on every answer."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    return [*headers, (b"content-length", b"%d" % len(response.content)), *_headers_of_every_answer()]


@lru_cache(maxsize=1)
def _headers_of_every_answer() -> list[tuple[bytes, bytes]]:
    finish = SecurityMiddleware(security_headers(lambda request: HttpResponse(content_type="")))
    answer: Any = finish(HttpRequest())
    answer.headers.pop("Content-Type", None)
    return [(name.lower().encode(), value.encode()) for name, value in answer.items()]


@sync_and_async_middleware
def refuse_nul(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Refuse a query or a cookie that holds NUL, which PostgreSQL takes in no text: 400, where it would be 500.

    An address that holds it is nobody's: 404, as any unknown one. Fields of forms and of JSON are looked at where they
    are read, and so is what a poll asks for: 404 there. A hint, which is answered alike in every case, reads neither.
    """

    def look_at(request: HttpRequest) -> None:
        path, query, cookies = request.path_info, request.META["QUERY_STRING"], request.META.get("HTTP_COOKIE", "")
        is_hint = path.startswith(HINTS)
        if holds_nul(cookies) or (holds_nul(query) and not is_hint and path != POLLS):
            raise BadRequest("NUL")
        if holds_nul(path) and not is_hint:
            raise Http404

    def middleware(request: HttpRequest) -> HttpResponse:
        look_at(request)
        return get_response(request)  # type: ignore[no-any-return]

    async def asynchronous(request: HttpRequest) -> HttpResponse:
        look_at(request)
        return await get_response(request)  # type: ignore[no-any-return]

    return markcoroutinefunction(asynchronous) if iscoroutinefunction(get_response) else middleware


def holds_nul(*texts: str) -> bool:
    """Whether a part of a request's head spells NUL: as it is, as in an address, or as in a quoted cookie."""
    return any(nul in text for text in texts for nul in ("\0", "%00", "\\000"))


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise without its thread: as a sync-only middleware it would keep one for as long as a poll is held."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if not iscoroutinefunction(self):
            return super().__call__(request)
        return self._serve_or_pass_on(request)

    async def _serve_or_pass_on(self, request: HttpRequest) -> Any:
        found = self.find_file(request.path_info) if self.autorefresh else self.files.get(request.path_info)
        return await self.get_response(request) if found is None else self.serve(found, request)
