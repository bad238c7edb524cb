"""Send one request to Daraja and tell apart "nothing was sent" and "no usable answer came". Nothing is ever retried."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import time
from collections.abc import Iterator, Mapping
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from payments.daraja.errors import DarajaUnreachable, OutcomeUnknown
from payments.daraja.results import Answer
from payments.daraja.timing import timed
from strict_json import LARGEST_BODY

CONNECTIONS_KEPT = 32  # as many pushes at once find a connection already open
_CHUNK = 16 * 1024  # bytes
# A firewall forgets idle connections without a word; the next push would vanish and its outcome be unknown.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))  # seconds, seconds, times
        if hasattr(socket, name)
    ),
]
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [*HTTPConnection.default_socket_options, *_KEEP_ALIVE]
        super().init_poolmanager(*args, **kwargs, socket_options=options)


class _Payload:
    """A JSON body that knows whether a connection has begun to send it: before that Daraja cannot have acted on it."""

    def __init__(self, data: Mapping[str, Any] | None) -> None:
        self.content = json.dumps(data).encode()
        self.was_sent = False

    def __len__(self) -> int:
        return len(self.content)

    def __iter__(self) -> Iterator[bytes]:
        self.was_sent = True
        yield self.content


@cache
def _session(*, through_proxy: bool) -> requests.Session:
    """Return the process's session: one pool of open connections for all threads, and no state besides it."""
    session = requests.Session()
    session.mount("http://", _Adapter(pool_maxsize=CONNECTIONS_KEPT))
    session.mount("https://", _Adapter(pool_maxsize=CONNECTIONS_KEPT))
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["Accept-Encoding"] = "identity"
    session.trust_env = through_proxy
    return session


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def get(url: str, *, auth: tuple[str, str] | None = None) -> Answer:
    """Fetch `url`. Raises DarajaUnreachable whatever fails: a GET asks nobody for money."""
    try:
        return _exchange("GET", url, auth=auth)
    except _FAILURES as error:
        raise DarajaUnreachable(type(error).__name__) from error


def post(url: str, *, data: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Post `data` as JSON, once.

    Raises DarajaUnreachable when the connection failed before the body went out, OutcomeUnknown when Daraja may
    have read it.
    """
    payload = _Payload(data)
    try:
        # With an auth of its own, requests does not put a password from ~/.netrc over our bearer.
        return _exchange("POST", url, data=payload, headers=headers, auth=lambda request: request)
    except _FAILURES as error:
        kind = OutcomeUnknown if payload.was_sent else DarajaUnreachable
        raise kind(type(error).__name__) from error


def _exchange(method: str, url: str, **options: Any) -> Answer:
    timeout = (settings.DARAJA_CONNECT_TIMEOUT_SECONDS, settings.DARAJA_TIMEOUT_SECONDS)
    session = _session(through_proxy=not _is_loopback(url))
    with (
        timed(url) as timing,
        session.request(method, url, stream=True, allow_redirects=False, timeout=timeout, **options) as response,
    ):
        answer = Answer(response.status_code, _read(response))
        timing.http_status = answer.status
        return answer


def _read(response: requests.Response) -> bytes:
    """Return the body, within the size that we parse and the time that we wait: each read has its own timeout."""
    deadline = time.monotonic() + settings.DARAJA_TIMEOUT_SECONDS
    body = b""
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > LARGEST_BODY or time.monotonic() > deadline:
            raise ValueError("too large or too slow")
    return body
