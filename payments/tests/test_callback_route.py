"""The short way of a callback says what Django's way says, and takes nothing that is not plainly a callback."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from payments import inbox
from payments.callback_route import CallbackRoute
from payments.callback_token import make_callback_token
from payments.models import Callback, Transaction
from payments.tests.conftest import callback_body
from tests.communicators import Exchange
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db(transaction=True)

Headers = list[tuple[bytes, bytes]]


async def _went_to_django(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _post(path: str, *body: bytes, method: str = "POST", headers: Headers | None = None) -> dict[str, Any]:
    length = str(sum(map(len, body))).encode()
    headers = [(b"host", b"127.0.0.1"), (b"content-length", length)] if headers is None else headers
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": ("196.201.214.200", 1)}
    route = Exchange(CallbackRoute(_went_to_django), scope)
    for number, part in enumerate(body, start=1):
        await route.send_input({"type": "http.request", "body": part, "more_body": number < len(body)})
    start, end = await route.receive_output(), await route.receive_output()
    await route.wait()
    return {**start, **end}


@pytest.fixture
async def payment() -> Transaction:
    return await sync_to_async(make_transaction)()


def _path(payment: Transaction, before: str = "/payments/callback/", after: str = "/") -> str:
    return f"{before}{make_callback_token(payment.pk)}{after}"


@pytest.mark.parametrize("before", ["/payments/callback/", "/mpesa/stk_push_callback/"])
@pytest.mark.parametrize("after", ["/", ""])
async def test_a_callback_is_stored_settled_and_answered(payment: Transaction, before: str, after: str) -> None:
    body = callback_body(payment)
    answer = await _post(_path(payment, before, after), body[:100], body[100:])
    assert (answer["status"], answer["body"]) == (200, b'{"ResultCode": 0, "ResultDesc": "Accepted"}')
    await payment.arefresh_from_db()
    stored = await Callback.objects.aget()
    assert (payment.status, bytes(stored.body), stored.remote_address) == ("COMPLETED", body, "196.201.214.200")


@pytest.mark.parametrize("body", [b"{}", b"\xff", b""])
async def test_what_is_no_callback_is_refused_as_django_refuses_it(payment: Transaction, body: bytes) -> None:
    short = await _post(_path(payment), body)
    long = await AsyncClient().post(_path(payment), body, content_type="application/json")
    assert (short["status"], short["body"]) == (long.status_code, long.content) == (400, long.content)


async def test_the_answer_carries_the_headers_of_djangos(payment: Transaction) -> None:
    body = callback_body(payment)
    short = {name.decode(): value.decode() for name, value in (await _post(_path(payment), body))["headers"]}
    long = await AsyncClient().post(_path(payment), body, content_type="application/json")
    expected = {name.lower(): value for name, value in long.items()}
    expected.pop("vary", None), expected.pop("content-language", None)  # one language, whoever asks
    assert short == expected


HOST, LENGTH = (b"host", b"127.0.0.1"), (b"content-length", b"2")


@pytest.mark.parametrize(
    "headers",
    [
        [HOST],
        [LENGTH],
        [HOST, (b"content-length", b"65537")],
        [HOST, (b"content-length", b"-1")],
        [HOST, LENGTH, LENGTH],
        [HOST, LENGTH, (b"transfer-encoding", b"chunked")],
        [(b"host", b"elsewhere.example"), LENGTH],
        [HOST, HOST, LENGTH],
    ],
    ids=["no length", "no host", "large", "negative", "two lengths", "chunked", "foreign host", "two hosts"],
)
async def test_what_is_not_plainly_a_callback_goes_to_django(payment: Transaction, headers: Headers) -> None:
    assert (await _post(_path(payment), b"{}", headers=headers))["status"] == 299


async def test_other_methods_paths_and_tokens_go_to_django(payment: Transaction) -> None:
    assert (await _post(_path(payment), b"", method="GET"))["status"] == 299
    for path in (
        "/",
        "/payments/callback/",
        f"{_path(payment)}x",
        _path(payment)[:-3] + "zz/",
        "/mpesa/stk_push_callback",
    ):
        assert (await _post(path, b"{}"))["status"] == 299


async def test_without_a_place_to_keep_it_the_answer_is_503(
    payment: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> bool:
        raise OSError

    monkeypatch.setattr(inbox, "receive", fail)
    answer = await _post(_path(payment), callback_body(payment))
    assert (answer["status"], dict(answer["headers"])[b"retry-after"]) == (503, b"5")


async def test_a_sender_that_leaves_half_way_leaves_nothing(payment: Transaction) -> None:
    scope = {"type": "http", "method": "POST", "path": _path(payment), "headers": [HOST, (b"content-length", b"9")]}
    route = Exchange(CallbackRoute(_went_to_django), scope)
    await route.send_input({"type": "http.request", "body": b"{}", "more_body": True})
    await route.send_input({"type": "http.disconnect"})
    await route.wait()
    assert not await Callback.objects.aexists()
