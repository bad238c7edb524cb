"""The handlers answer as Django's own would, whichever path a request takes."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from handlers import HttpApplication
from tests.communicators import Exchange
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def application() -> HttpApplication:
    return HttpApplication()


async def _get(application: HttpApplication, path: str, query: str = "", **headers: str) -> dict[str, Any]:
    pairs = [(b"host", b"127.0.0.1"), *((name.replace("_", "-").encode(), v.encode()) for name, v in headers.items())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": pairs}
    exchange = Exchange(application, {**scope, "client": ("127.0.0.1", 1)})
    await exchange.send_input({"type": "http.request"})
    start, body = await exchange.receive_output(), await exchange.receive_output()
    await exchange.wait()
    return {"status": start["status"], "headers": dict(start["headers"]), "body": body["body"]}


@pytest.mark.parametrize("language", ["en", "sw"])
async def test_a_poll_is_answered_as_django_answers_it(application: HttpApplication, language: str) -> None:
    payment = await sync_to_async(make_transaction)()
    query = f"transaction_id={payment.pk}"
    ours = await _get(application, "/payments/status/", query, accept_language=language)
    true = await AsyncClient().get(f"/payments/status/?{query}", headers={"accept-language": language})
    assert (ours["status"], ours["body"]) == (200, true.content)
    told = {name.decode(): value.decode() for name, value in ours["headers"].items()}
    assert told == {name: value for name, value in true.items() if name in told}
    assert set(true.headers) - set(told) <= {"Vary"}


async def test_a_poll_that_knows_the_version_is_answered_304(application: HttpApplication) -> None:
    payment = await sync_to_async(make_transaction)()
    first = await _get(application, "/payments/status/", f"transaction_id={payment.pk}")
    etag = first["headers"][b"ETag"].decode()
    again = await _get(application, "/payments/status", f"transaction_id={payment.pk}", if_none_match=etag)
    assert (again["status"], again["body"], again["headers"][b"Retry-After"]) == (304, b"", b"3")


async def test_an_unknown_host_is_refused_on_both_ways(application: HttpApplication) -> None:
    for path in ("/payments/status/", "/"):
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"evil.example")],
        }
        exchange = Exchange(application, scope)
        await exchange.send_input({"type": "http.request"})
        assert (await exchange.receive_output())["status"] == 400
        await exchange.receive_output()
        await exchange.wait()


async def test_a_page_is_made_in_one_thread_and_carries_every_header(application: HttpApplication) -> None:
    page = await _get(application, "/")
    assert page["status"] == 200
    assert {b"Content-Security-Policy", b"X-Content-Type-Options", b"Content-Length"} <= set(page["headers"])


async def test_a_held_poll_ends_when_its_reader_has_gone(application: HttpApplication) -> None:
    from payments import waiting

    payment = await sync_to_async(make_transaction)()
    query = f"transaction_id={payment.pk}&since=1&wait=25"
    scope = {"type": "http", "method": "GET", "path": "/payments/status/", "headers": [(b"host", b"127.0.0.1")]}
    exchange = Exchange(application, {**scope, "query_string": query.encode()})
    await exchange.send_input({"type": "http.request"})
    await exchange.send_input({"type": "http.disconnect"})
    await exchange.wait()
    assert waiting.count() == 0
