"""What every JSON route shares: strict reading, problems as RFC 9457 says, and whose pages may ask.

A view raises `Problem`, or returns `problem(...)`; `json_route` or `problems` around it turns the first into the
second. Nothing here touches the session, and no answer carries a CORS header.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _

import strict_json

BODY_LIMIT = 64 * 1024  # bytes
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
DEFAULT_PORTS = {"http": 80, "https": 443}

View = TypeVar("View", bound=Callable[..., Any])
log = structlog.get_logger(__name__)

# InternalError: what PostgreSQL says while it is read-only, as a standby is until it has been promoted.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)

# What a browser writes into Origin: nothing before the scheme and nothing behind the port.
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)


# Problems -------------------------------------------------------------------------------------------------------


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> JsonResponse:
    """Return one error as `application/problem+json`; `detail` is a sentence for a person."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(detail),
        "code": code,
        "field": field,
        **extra,
    }
    return JsonResponse(
        body,
        status=status,
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


class Problem(Exception):
    """An answer that is an error; takes what `problem` takes."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, str(detail)
        self.field, self.headers, self.extra = field, headers, extra

    def response(self) -> JsonResponse:
        return problem(self.status, self.code, self.detail, field=self.field, headers=self.headers, **self.extra)


def _unavailable(error: Exception) -> JsonResponse:
    """Return 503: the database is away, which is our trouble and passes; hosts and error texts stay in the log."""
    log.error("database_unavailable", error=type(error).__name__)
    detail = _("The shop cannot answer at the moment. Please try again in a few seconds.")
    return problem(503, "unavailable", detail, headers={"Retry-After": "5"})


def problems(view: View) -> View:
    """Turn a `Problem` that the view raises, and a database that is away, into the response."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return view(request, *args, **kwargs)
        except Problem as error:
            return error.response()
        except DATABASE_AWAY as error:
            return _unavailable(error)

    @functools.wraps(view)
    async def async_wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return await view(request, *args, **kwargs)
        except Problem as error:
            return error.response()
        except DATABASE_AWAY as error:
            return _unavailable(error)

    return async_wrapper if iscoroutinefunction(view) else wrapper  # type: ignore[return-value]


def json_route(*methods: str) -> Callable[[View], View]:
    """Make a view a JSON route: only `methods`, nothing written for a foreign page, errors as problems.

    It needs no CSRF token, because no form can send its media type, a foreign Origin is refused and no session
    is read.
    """
    allowed = {*methods, *(["HEAD"] if "GET" in methods else [])}

    def decorate(view: View) -> View:
        def guard(request: HttpRequest) -> None:
            require_method(request, allowed)
            if request.method not in SAFE_METHODS:
                refuse_foreign_origin(request)

        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            guard(request)
            return view(request, *args, **kwargs)

        @functools.wraps(view)
        async def async_wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            guard(request)
            return await view(request, *args, **kwargs)

        route: Any = problems(async_wrapper if iscoroutinefunction(view) else wrapper)
        route.csrf_exempt = True
        return route  # type: ignore[no-any-return]

    return decorate


def require_method(request: HttpRequest, allowed: Iterable[str]) -> None:
    """Raise 405 with `Allow` when the request's method is none of `allowed`."""
    allowed = sorted(allowed)
    if request.method not in allowed:
        detail = _("This address does not take %(method)s.") % {"method": request.method}
        raise Problem(405, "method_not_allowed", detail, headers={"Allow": ", ".join(allowed)})


# Reading --------------------------------------------------------------------------------------------------------


def is_json(request: HttpRequest) -> bool:
    """Return whether the media type is exactly application/json, whatever its parameters say."""
    return request.content_type == "application/json"


def read_body(request: HttpRequest, *, limit: int = BODY_LIMIT) -> bytes:
    """Return the body; raises `Problem` 413 beyond `limit` bytes and 400 when the sender broke off."""
    try:
        body = request.body
    except RequestDataTooBig:
        body = None
    except UnreadablePostError:
        raise Problem(400, "body_incomplete", _("The request ended before its body was complete.")) from None
    if body is None or len(body) > limit:
        detail = _("The request is too large; %(limit)d bytes is the most.") % {"limit": limit}
        raise Problem(413, "too_large", detail)
    return body


def read_json(request: HttpRequest, *, limit: int = BODY_LIMIT) -> dict[str, Any]:
    """Return the JSON object that the request carries; raises `Problem` 415, 413 or 400."""
    if not is_json(request):
        raise Problem(415, "unsupported_media_type", _("Send the request as application/json."))
    try:
        value = strict_json.read(read_body(request, limit=limit), storable=False)
    except strict_json.NotJson:
        raise Problem(400, "invalid_json", _("The request is not valid JSON.")) from None
    if not isinstance(value, dict):
        raise Problem(400, "invalid_json", _("The request must be one JSON object."))
    return value


# Origins --------------------------------------------------------------------------------------------------------


def refuse_foreign_origin(request: HttpRequest) -> None:
    """Raise `Problem` 403 when a browser says that another site's page sent this; no Origin is no browser."""
    origin = request.headers.get("Origin")
    if origin is not None and not is_own_origin(origin, port=request.META.get("SERVER_PORT")):
        raise Problem(403, "foreign_origin", _("This address answers only to the shop's own pages."))


def is_own_origin(origin: str, *, port: int | str | None) -> bool:
    """Return whether scheme, host and port are those of PUBLIC_BASE_URL or an entry of CSRF_TRUSTED_ORIGINS.

    In the simulator the three loopback names at `port`, the one this server listens on, are ours too. `null`
    (a sandboxed frame, a file) is foreign.
    """
    asked = _parse_origin(origin)
    if asked is None:
        return False
    ours = {_parse_origin(url) for url in (settings.PUBLIC_BASE_URL, *settings.CSRF_TRUSTED_ORIGINS)}
    if settings.SIMULATOR:
        scheme = settings.PUBLIC_BASE_URL.partition(":")[0].lower()
        ours |= {_parse_origin(f"{scheme}://{name}:{port}") for name in LOOPBACK_NAMES}
    return asked in ours


def _parse_origin(origin: str) -> tuple[str, str, int] | None:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme, host, port = match.group(1).lower(), match.group(2).lower(), match.group(3)
    return scheme, host, int(port) if port else DEFAULT_PORTS[scheme]
