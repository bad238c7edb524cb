"""The headers and cookies of every URL, found by walking the routes: a new one is covered without a word here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admindocs.views import simplify_regex
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from middleware import BoundedBodies
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

EXAMPLES = {"uuid": str(uuid.uuid4()), "int": "1", "slug": "x", "str": "x", "path": "x"}
CAPABILITIES = ["/payments/{payment}/", "/payments/{payment}/receipt/", "/orders/{order}/"]


def _urls(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Yield an example of every path."""
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern.pattern, RegexPattern):
            path = re.sub(r"<\w+>", "x", prefix + simplify_regex(str(pattern.pattern)).strip("/?") + "/")
        for name, converter in pattern.pattern.converters.items():
            kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
            path = path.replace(f"<{kind}:{name}>", EXAMPLES.get(kind, "x")).replace(f"<{name}>", "x")
        if isinstance(pattern, URLResolver):
            yield from _urls(pattern, path)
        elif isinstance(pattern, URLPattern):
            yield path


PATHS = sorted(set(_urls(get_resolver())))


def test_the_walk_finds_the_routes() -> None:
    assert {"/", "/checkout/", "/payments/stk-push/", "/readyz/", "/admin/login/"} <= set(PATHS)
    assert len(PATHS) > 60


def _answers(client: Client) -> Iterator[tuple[str, Any]]:
    for path in PATHS:
        yield path, client.get(path)


@pytest.mark.parametrize("is_staff", [False, True])
def test_every_url_carries_the_policies_and_no_cors(client: Client, is_staff: bool) -> None:
    if is_staff:
        client.force_login(get_user_model().objects.create_superuser("boss", "", "x"))
    for path, answer in _answers(client):
        assert answer.status_code < 500 or path == "/readyz/", path  # no reconciler runs in a test
        policy = answer.headers.get("Content-Security-Policy", "")
        assert policy.startswith("default-src 'none'"), path
        assert "unsafe" not in policy, path
        assert answer.headers.get("X-Content-Type-Options") == "nosniff", path
        assert answer.headers.get("X-Frame-Options") == "DENY", path
        assert answer.headers.get("Referrer-Policy") in {"same-origin", "no-referrer"}, path
        assert "Access-Control-Allow-Origin" not in answer.headers, path
        assert "Server" not in answer.headers, path


def test_no_cookie_can_be_read_by_a_script_or_sent_from_elsewhere(client: Client) -> None:
    for path, _answer in _answers(client):
        for cookie in client.cookies.values():
            assert cookie["httponly"], (path, cookie.key)
            assert cookie["samesite"] == "Lax", (path, cookie.key)


def test_what_is_refused_before_django_carries_them_too() -> None:
    async def refused() -> dict[bytes, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await BoundedBodies(application)({"headers": [(b"content-length", b"2000000")]}, None, send)
        assert sent[0]["status"] == 413
        return dict(sent[0]["headers"])

    async def application(*_asked: Any) -> None:
        raise AssertionError("it was passed on")

    headers = async_to_sync(refused)()
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert (headers[b"x-content-type-options"], headers[b"x-frame-options"]) == (b"nosniff", b"DENY")
    assert headers[b"connection"] == b"close"


@pytest.mark.parametrize("path", CAPABILITIES)
def test_a_page_whose_address_is_a_secret_is_kept_by_nobody(client: Client, path: str) -> None:
    payment = make_transaction()
    answer = client.get(path.format(payment=payment.pk, order=payment.order_id))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in answer.headers["X-Robots-Tag"]


@pytest.mark.parametrize("path", ["/admin/", "/admin/payments/live/", "/admin/payments/transaction/"])
def test_staff_pages_are_for_staff(client: Client, path: str) -> None:
    client.force_login(get_user_model().objects.create_user("customer"))
    assert client.get(path).status_code in {302, 403}
