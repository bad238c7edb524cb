"""A simulator of its own for every test: an empty record, quick customers, and a shop that only listens."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from simulator import courier, identifiers
from tests.patience import PATIENCE

PHONE = "254722000001"


@pytest.fixture(autouse=True)
def _simulator_of_its_own(settings, tmp_path) -> Iterator[None]:
    settings.SIMULATOR_RECORD = tmp_path / "simulator.sqlite3"
    settings.SIMULATOR_CALLBACK_SECONDS = settings.SIMULATOR_ANSWER_SECONDS = 0.02
    settings.SIMULATOR_UNREACHABLE_SECONDS = 0.1
    settings.SIMULATOR_LATE_SECONDS = 0.4
    settings.SIMULATOR_QUERY_READY_SECONDS = 0
    yield
    courier.stop()


class Shop:
    """Records what is posted to it; `status` is its answer, `before_answer` runs first."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes, float]] = []
        self.status = 200
        self.before_answer: Callable[[], object] = lambda: None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/callback/secret/"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def _handler(shop: Shop) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.received.append((self.path, dict(self.headers), body, time.time()))
                shop.before_answer()
                self.send_response(shop.status)
                self.send_header("Location", "/elsewhere/")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Return the stkCallback of the first `count` callbacks, once they are here."""
        eventually(lambda: len(self.received) >= count)
        return [json.loads(body)["Body"]["stkCallback"] for _, _, body, _ in self.received]


def eventually(is_true: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


def items(callback: dict[str, Any]) -> dict[str, Any]:
    return {item["Name"]: item.get("Value") for item in callback["CallbackMetadata"]["Item"]}


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.server.shutdown()
    shop.server.server_close()


class Daraja:
    """A careful caller of the three endpoints."""

    def __init__(self, settings: Any, callback_url: str) -> None:
        self.settings, self.callback_url = settings, callback_url
        self.client = Client(enforce_csrf_checks=True)
        self.token = ""

    def ask_for_token(self, *, key: str | None = None, grant_type: str = "client_credentials") -> Any:
        user = self.settings.MPESA_CONSUMER_KEY if key is None else key
        basic = base64.b64encode(f"{user}:{self.settings.MPESA_CONSUMER_SECRET}".encode()).decode()
        url = f"/simulator/oauth/v1/generate?grant_type={grant_type}"
        return self.client.get(url, headers={"Authorization": f"Basic {basic}"})

    def password(self, timestamp: str) -> str:
        text = f"{self.settings.MPESA_SHORTCODE}{self.settings.MPESA_PASSKEY}{timestamp}"
        return base64.b64encode(text.encode()).decode()

    def shop_fields(self) -> dict[str, Any]:
        timestamp = identifiers.timestamp(time.time())
        short_code = self.settings.MPESA_SHORTCODE
        return {"BusinessShortCode": short_code, "Password": self.password(timestamp), "Timestamp": timestamp}

    def push_fields(self, phone: str = PHONE, **changes: Any) -> dict[str, Any]:
        return {
            **self.shop_fields(),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": 1500,
            "PartyA": phone,
            "PartyB": self.settings.MPESA_SHORTCODE,
            "PhoneNumber": phone,
            "CallBackURL": self.callback_url,
            "AccountReference": "7QK2M9TX",
            "TransactionDesc": "Order 7QK2",
            **changes,
        }

    def post(self, path: str, data: Any, *, token: str | None = None) -> Any:
        if token is None:
            self.token = self.token or self.ask_for_token().json()["access_token"]
            token = self.token
        body = data if isinstance(data, bytes) else json.dumps(data)
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post(f"/simulator/mpesa/{path}", body, content_type="application/json", headers=headers)

    def push(self, phone: str = PHONE, **changes: Any) -> Any:
        return self.post("stkpush/v1/processrequest", self.push_fields(phone, **changes))

    def accepted(self, phone: str = PHONE, **changes: Any) -> str:
        """Push and return the CheckoutRequestID."""
        answer = self.push(phone, **changes)
        assert answer.status_code == 200, answer.content
        return str(answer.json()["CheckoutRequestID"])

    def query(self, checkout_request_id: str, **changes: Any) -> Any:
        fields = {**self.shop_fields(), "CheckoutRequestID": checkout_request_id, **changes}
        return self.post("stkpushquery/v1/query", fields)


@pytest.fixture
def daraja(settings, shop: Shop) -> Daraja:
    return Daraja(settings, shop.url)


class Control:
    """The control API."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)

    def get(self, path: str) -> Any:
        return self.client.get(f"/simulator/api/{path}").json()

    def post(self, path: str, data: Any = None, *, status: int = 200) -> Any:
        answer = self.client.post(f"/simulator/api/{path}", json.dumps(data or {}), content_type="application/json")
        assert answer.status_code == status, answer.content
        return answer.json()

    def answer(self, phone: str = PHONE, **answer: str) -> Any:
        return self.post(f"phones/{phone}/answer/", answer)

    def prompt(self, phone: str = PHONE) -> Any:
        return self.get(f"phones/{phone}/")["prompts"][0]


@pytest.fixture
def control() -> Control:
    return Control()
