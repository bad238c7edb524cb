"""A stranger's view of a running shop: HTTP and sockets, and nothing of its code."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import requests
from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE

# Far above the simulator's own table of numbers, and another one for every payment: one prompt per phone at a time.
_numbers = itertools.count(100_000)


def new_phone_number() -> str:
    return f"0722{next(_numbers):06d}"


def as_stored(phone_number: str) -> str:
    return f"254{phone_number[1:]}"


class Shop:
    """The routes of one server as a machine uses them. Every answer below 500, or the test fails here."""

    def __init__(self, base_url: str, **headers: str) -> None:
        self.base_url = base_url
        self.headers = headers  # of every request

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        options["headers"] = {**self.headers, **options.get("headers", {})}
        options.setdefault("timeout", 40)
        options.setdefault("allow_redirects", False)
        return requests.request(method, f"{self.base_url}{path}", **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def order(self, quantity: int = 1) -> dict[str, Any]:
        """Place an order for the first product of the catalogue."""
        sku = self.get("/api/products/").json()[0]["sku"]
        answer = self.post("/api/orders/", json={"items": [{"sku": sku, "quantity": quantity}]})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def order_now(self, order_id: str) -> dict[str, Any]:
        return dict(self.get(f"/api/orders/{order_id}/").json())

    def push(self, order_id: str, phone_number: str, **options: Any) -> requests.Response:
        return self.post("/payments/stk-push/", json={"order_id": order_id, "phone_number": phone_number}, **options)

    def status(self, transaction_id: str, **options: Any) -> dict[str, Any]:
        return dict(self.get("/payments/status/", params={"transaction_id": transaction_id, **options}).json())

    def wait_for(self, transaction_id: str, status: str, *, within: float = PATIENCE) -> dict[str, Any]:
        """Poll until a payment has a status and return its document."""
        give_up = time.monotonic() + within
        while (document := self.status(transaction_id))["status"] != status:
            assert time.monotonic() < give_up, f"still {document}"
            time.sleep(0.1)
        return document

    def socket(self, transaction_id: str, **options: Any) -> ClientConnection:
        url = f"{self.base_url.replace('http', 'ws', 1)}/ws/payments/{transaction_id}/?format=json"
        return connect(url, open_timeout=PATIENCE, **options)


def next_document(socket: ClientConnection, *, within: float = PATIENCE) -> dict[str, Any]:
    """Return the next status document from a socket; heartbeats pass."""
    give_up = time.monotonic() + within
    while True:
        message = json.loads(socket.recv(timeout=max(0.01, give_up - time.monotonic())))
        if "transaction_id" in message:
            return dict(message)
