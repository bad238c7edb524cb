"""What the tests of payments share: callbacks as Daraja words them, and a Daraja of plain functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from payments.callback_token import make_callback_token
from payments.daraja import client
from payments.models import Transaction


def callback_body(payment: Transaction, *, code: object = 0, desc: str = "as Daraja says", **changes: Any) -> bytes:
    """Return a callback for `payment`; `changes`: Amount, MpesaReceiptNumber, or ids by Daraja's names."""
    told: dict[str, Any] = {
        "MerchantRequestID": changes.pop("MerchantRequestID", payment.merchant_request_id or "29115-1-1"),
        "CheckoutRequestID": changes.pop("CheckoutRequestID", payment.checkout_request_id or "ws_CO_callback"),
        "ResultCode": code,
        "ResultDesc": desc,
    }
    if code in (0, "0"):
        values = {"Amount": float(payment.amount), "MpesaReceiptNumber": f"U{payment.account_reference[:9]}", **changes}
        items = [{"Name": name, "Value": value} for name, value in values.items() if value is not None]
        told["CallbackMetadata"] = {"Item": [*items, {"Name": "Balance"}]}
    return json.dumps({"Body": {"stkCallback": told}}).encode()


@pytest.fixture
def post_callback(client: Any) -> Callable[..., Any]:
    """Post a callback for a payment to its own URL and return the response."""

    def post(payment: Transaction, body: bytes | None = None, **changes: Any) -> Any:
        url = f"/payments/callback/{make_callback_token(payment.pk)}/"
        data = callback_body(payment, **changes) if body is None else body
        response = client.post(url, data, content_type="application/json")
        payment.refresh_from_db()
        return response

    return post


class FakeDaraja:
    """Stands in at the seam: `push` and `query` are what the adapter answers, or raise what it raises."""

    def __init__(self) -> None:
        self.pushes: list[dict[str, Any]] = []
        self.queries: list[str] = []
        self.push: Callable[[dict[str, Any]], client.PushAccepted] = self.accept
        self.query: Callable[[str], client.QueryAnswer] = lambda _id: client.QueryAnswer("pending", "4999", "", None)

    def accept(self, asked: dict[str, Any]) -> client.PushAccepted:
        number = len(self.pushes)
        return client.PushAccepted(f"29115-{number}-1", f"ws_CO_{asked['phone_number']}{number}")

    def stk_push(self, **asked: Any) -> client.PushAccepted:
        self.pushes.append(asked)
        return self.push(asked)

    def stk_query(self, *, checkout_request_id: str) -> client.QueryAnswer:
        self.queries.append(checkout_request_id)
        return self.query(checkout_request_id)


def raising(error: Exception) -> Callable[..., Any]:
    """Return a function that raises `error` whatever it is called with."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


@pytest.fixture
def daraja(monkeypatch: pytest.MonkeyPatch) -> FakeDaraja:
    fake = FakeDaraja()
    monkeypatch.setattr(client, "stk_push", fake.stk_push)
    monkeypatch.setattr(client, "stk_query", fake.stk_query)
    return fake
