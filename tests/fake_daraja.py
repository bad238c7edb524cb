"""Daraja as a test wants it: a server of our own on the other side of DARAJA_BASE_URL.

As the true one it gives tokens of which each kills the last, accepts a push with two ids and posts one callback to
CallBackURL; unlike it, it does the latter when told to. Recorded bodies are Safaricom's, see payments/tests.
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

ACCEPTED = "Success. Request accepted for processing"
BEING_PROCESSED = "The transaction is being processed"
_numbers = itertools.count(int(time.time()) % 100_000 * 1000)


@dataclass
class Answer:
    """What Daraja answers: a status and JSON, or raw bytes; `after` seconds; or nothing at all when it `drops`."""

    status: int = 200
    json: Any = None
    raw: bytes | None = None
    after: float = 0
    drops: bool = False

    @property
    def body(self) -> bytes:
        return json.dumps(self.json).encode() if self.raw is None else self.raw


def refusal(code: str, message: str, *, status: int = 500) -> Answer:
    return Answer(status, {"requestId": secrets.token_hex(8), "errorCode": code, "errorMessage": message})


@dataclass
class Push:
    """A push as it arrived, with the ids that Daraja gave it."""

    request: dict[str, Any]
    merchant_request_id: str
    checkout_request_id: str
    callback_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.callback_url = self.request["CallBackURL"]

    @property
    def phone_number(self) -> str:
        return str(self.request["PhoneNumber"])

    def callback(self, *, code: Any = 0, description: str = "", **items: Any) -> dict[str, Any]:
        """Return the body of a callback; `items` replace those of a success, and None leaves one out."""
        body = {
            "MerchantRequestID": self.merchant_request_id,
            "CheckoutRequestID": self.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": description or "The service request is processed successfully.",
        }
        if code == 0:
            paid = {"Amount": float(self.request["Amount"]), "MpesaReceiptNumber": new_receipt()}
            paid |= {"TransactionDate": int(time.strftime("%Y%m%d%H%M%S")), "PhoneNumber": int(self.phone_number)}
            shown = {name: value for name, value in (paid | items).items() if value is not None}
            body["CallbackMetadata"] = {"Item": [{"Name": name, "Value": value} for name, value in shown.items()]}
        return {"Body": {"stkCallback": body}}

    def post(self, body: dict[str, Any] | bytes, *, url: str = "") -> requests.Response:
        """Post a body to CallBackURL as Safaricom does, or to another `url` as a stranger would."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Businessshortcode": str(self.request["BusinessShortCode"])}
        return requests.post(url or self.callback_url, data=data, headers=headers, timeout=20)

    def succeed(self, **items: Any) -> requests.Response:
        return self.post(self.callback(**items))

    def fail(self, code: int | str = 1032, description: str = "Request cancelled by user") -> requests.Response:
        return self.post(self.callback(code=code, description=description))


def new_receipt() -> str:
    return f"SK{next(_numbers):08d}"


class FakeDaraja:
    """`on_push` and `on_query` script the answers; `pushes`, `queries` and `tokens` record what was asked."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.queries: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.token_lives_through_next = False
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self.behave()

    def behave(self) -> None:
        """Answer as on a good day: pushes are accepted, queries say that the customer has not answered yet."""
        self.on_token: Callable[[], Answer | None] = lambda: None
        self.on_push: Callable[[Push], Answer | None] = lambda push: None
        self.on_query: Callable[[dict[str, Any]], Answer | None] = lambda query: None

    def push_for(self, phone_number: str, *, within: float = 15) -> Push:
        """Return the last push to a number, which may be on its way still."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.pushes_to(phone_number), within), "no push arrived"
            return self.pushes_to(phone_number)[-1]

    def pushes_to(self, phone_number: str) -> list[Push]:
        return [push for push in self.pushes if push.phone_number == phone_number]

    # What arrives; each returns the answer.

    def token(self, headers: Any) -> Answer:
        if scripted := self.on_token():
            return scripted
        if not headers.get("Authorization", "").startswith("Basic "):
            return refusal("400.008.01", "Invalid Authentication passed", status=400)
        with self._lock:
            self.tokens.append(secrets.token_urlsafe(21)[:28])
            return Answer(200, {"access_token": self.tokens[-1], "expires_in": "3599"})

    def _knows(self, headers: Any) -> bool:
        valid = self.tokens if self.token_lives_through_next else self.tokens[-1:]
        return headers.get("Authorization", "").removeprefix("Bearer ") in valid

    def push(self, headers: Any, request: dict[str, Any]) -> Answer:
        if not self._knows(headers):
            return refusal("404.001.03", "Invalid Access Token", status=404)
        number = next(_numbers)
        checkout_request_id = f"ws_CO_{time.strftime('%d%m%Y%H%M%S')}{number:03d}{str(request['PhoneNumber'])[-9:]}"
        push = Push(request, f"{secrets.token_hex(2)}-4e2a-{number}", checkout_request_id)
        with self._arrived:
            self.pushes.append(push)
            self._arrived.notify_all()
        return self.on_push(push) or accepted(push)

    def query(self, headers: Any, request: dict[str, Any]) -> Answer:
        if not self._knows(headers):
            return refusal("400.003.01", "Invalid Access Token", status=400)
        self.queries.append(request)
        return self.on_query(request) or refusal("500.001.1001", BEING_PROCESSED)


def accepted(push: Push) -> Answer:
    ids = {"MerchantRequestID": push.merchant_request_id, "CheckoutRequestID": push.checkout_request_id}
    return Answer(200, {**ids, "ResponseCode": "0", "ResponseDescription": ACCEPTED, "CustomerMessage": ACCEPTED})


def query_result(request: dict[str, Any], code: int | str, description: str = "") -> Answer:
    ids = {"MerchantRequestID": "29115-34620561-1", "CheckoutRequestID": request["CheckoutRequestID"]}
    said = {"ResponseCode": "0", "ResponseDescription": "The service request has been accepted successsfully"}
    return Answer(200, {**said, **ids, "ResultCode": str(code), "ResultDesc": description or "answered"})


def password_of(push: Push) -> tuple[str, str]:
    """Return the passkey and timestamp inside a push's Password."""
    shortcode, timestamp = push.request["BusinessShortCode"], push.request["Timestamp"]
    text = base64.b64decode(push.request["Password"]).decode()
    return text.removeprefix(str(shortcode)).removesuffix(timestamp), timestamp


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.daraja.token(self.headers))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = self.server.daraja.query if "query" in self.path else self.server.daraja.push
        self._send(asked(self.headers, request))

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.after)
        if answer.drops:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    daraja: FakeDaraja

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a caller that hung up; what it means the test says


@contextmanager
def running_daraja() -> Iterator[tuple[FakeDaraja, str]]:
    """Yield the fake and its base URL."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.daraja = FakeDaraja()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.daraja, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
