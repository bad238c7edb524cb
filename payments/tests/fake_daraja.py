"""A little Daraja on loopback for the client's tests: real HTTP, and a place to put every bad answer.

Left alone it is strict: a new token kills the last, and a request needs the living one. `answers` replaces what a
path says, after the request was read, by bytes on the wire or by a function of the handler.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OAUTH, PUSH, QUERY = "oauth", "push", "query"
REVERSAL, STATUS, PULL = "reversal", "status", "pull"
KEY, SECRET, PASSKEY, SHORTCODE = "the-key", "the-secret", "the-passkey", "600638"
CHECKOUT_REQUEST_ID = "ws_CO_170820261404032708374149"
ACCEPTED = {
    "MerchantRequestID": "6543-425e-a177-2e84b1462ecd1418872",
    "CheckoutRequestID": CHECKOUT_REQUEST_ID,
    "ResponseCode": "0",
    "ResponseDescription": "Success. Request accepted for processing",
    "CustomerMessage": "Success. Request accepted for processing",
}
SETTLED = {
    "ResponseCode": "0",
    "ResponseDescription": "The service request has been accepted successsfully",
    "MerchantRequestID": "6543-425e-a177-2e84b1462ecd1418872",
    "CheckoutRequestID": CHECKOUT_REQUEST_ID,
    "ResultCode": "0",
    "ResultDesc": "The service request is processed successfully.",
}
ACKNOWLEDGED = {
    "OriginatorConversationID": "29115-34620561-1",
    "ConversationID": "AG_20261125_70101a2b3c4d5e6f7a8b",
    "ResponseCode": "0",
    "ResponseDescription": "Accept the service request successfully.",
}
PATHS = {
    "/oauth/v1/generate?grant_type=client_credentials": OAUTH,
    "/mpesa/stkpush/v1/processrequest": PUSH,
    "/mpesa/stkpushquery/v1/query": QUERY,
    "/mpesa/reversal/v1/request": REVERSAL,
    "/mpesa/transactionstatus/v1/query": STATUS,
    "/pulltransactions/v1/query": PULL,
}


@dataclass(frozen=True)
class Seen:
    kind: str
    headers: dict[str, str]
    body: Any
    connection: int  # the client's port: the same one means that the connection was kept


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeDaraja

    def handle_any(self) -> None:
        kind = PATHS[self.path]
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(kind, dict(self.headers), json.loads(raw) if raw else None, self.client_address[1])
        self.server.seen.append(seen)
        answer = self.server.answers.get(kind) or getattr(self.server, kind)
        answer(self)

    do_GET = do_POST = handle_any

    def reply(self, status: int, body: Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


class FakeDaraja(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Seen] = []
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.living_token = ""
        self.tokens_given = 0
        self.expires_in: Any = "3599"
        self._lock = threading.Lock()

    def handle_error(self, *args: object) -> None:
        """Say nothing of clients that gave up: that is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def counts(self) -> Counter[str]:
        return Counter(seen.kind for seen in self.seen)

    def last(self, kind: str) -> Seen:
        return [seen for seen in self.seen if seen.kind == kind][-1]

    def say(self, kind: str, status: int, body: Any = b"", **headers: str) -> None:
        self.answers[kind] = lambda handler: handler.reply(status, body, **headers)

    def oauth(self, handler: Handler) -> None:
        expected = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        if handler.headers["Authorization"] != f"Basic {expected}":
            return handler.reply(400)
        with self._lock:
            self.tokens_given += 1
            self.living_token = f"token{self.tokens_given:023}"
        return handler.reply(200, {"access_token": self.living_token, "expires_in": self.expires_in})

    def push(self, handler: Handler) -> None:
        self._with_token(handler, ACCEPTED, 404, "404.001.03")

    def query(self, handler: Handler) -> None:
        self._with_token(handler, SETTLED, 400, "400.003.01")

    def reversal(self, handler: Handler) -> None:
        self._with_token(handler, ACKNOWLEDGED, 401, "401.002.01")

    status = reversal

    def pull(self, handler: Handler) -> None:
        self._with_token(handler, {"ResponseCode": "1001", "Response": [[]]}, 401, "401.002.01")

    def _with_token(self, handler: Handler, body: Any, status: int, code: str) -> None:
        if handler.headers["Authorization"] == f"Bearer {self.living_token}":
            handler.reply(200, body)
        else:
            handler.reply(status, {"requestId": "1", "errorCode": code, "errorMessage": "Invalid Access Token"})


@contextmanager
def running_daraja(settings: Any) -> Iterator[FakeDaraja]:
    """Serve a fake Daraja and point the settings at it."""
    server = FakeDaraja()
    settings.DARAJA_BASE_URL = server.url
    settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
    settings.MPESA_SHORTCODE = settings.MPESA_EXPRESS_SHORTCODE = SHORTCODE
    settings.MPESA_PASSKEY, settings.MPESA_TILL_NUMBER = PASSKEY, ""
    settings.DARAJA_TIMEOUT_SECONDS = settings.DARAJA_CONNECT_TIMEOUT_SECONDS = 1
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def push(**changes: Any) -> Any:
    """Push as checkout does."""
    from payments.daraja import client

    arguments = {
        "phone_number": "254708374149",
        "amount": 1500,
        "account_reference": "7QK3M9TXAB34",
        "transaction_desc": "Pay 7QK3M9TX",
        "callback_url": "https://shop.example/payments/callback/0011.2233/",
    }
    return client.stk_push(**{**arguments, **changes})


def ask() -> Any:
    """Query the payment that the fake accepts."""
    from payments.daraja import client

    return client.stk_query(checkout_request_id=CHECKOUT_REQUEST_ID)
