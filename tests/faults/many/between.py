"""Somebody between the shop and Daraja: what Daraja says of one payment arrives late, not at all, or as a lie."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

PUSH, QUERY = "/mpesa/stkpush/v1/processrequest", "/mpesa/stkpushquery/v1/query"
SLOW = 12.0  # seconds, six times what the shop waits
Answer = tuple[int, bytes]


class Lie(StrEnum):
    """What is done to one payment's answers. All but the first are about queries, and Daraja is not asked at all."""

    SLOW_PUSH = "the push is answered far too late"
    PROCESSING = "queries say 'being processed' for ever"
    FAILED = "queries say 'cancelled', though it was paid"
    FAILED_ONCE = "the first query says 'cancelled', later ones the truth"
    ERROR = "queries are answered 500"
    MALFORMED = "queries are answered with half a body"
    THROTTLED = "queries are answered 429"


class Between:
    """Passes on to `daraja_url`; `lies`: by phone number, taken over by each prompt when it is pushed."""

    def __init__(self, daraja_url: str) -> None:
        self.lies: dict[str, Lie] = {}
        self.told: Counter[tuple[str, Lie]] = Counter()  # by phone number
        self._by_prompt: dict[str, tuple[str, Lie]] = {}
        self._daraja_url, self._pool = daraja_url, urllib3.PoolManager(maxsize=64)

    def pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        answer = self._pool.request(
            method, f"{self._daraja_url}{path}", body=body, headers=headers, retries=False, timeout=30
        )
        return answer.status, answer.data

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        prompt = _field(body, "CheckoutRequestID")
        if path == QUERY and (told := self._by_prompt.get(prompt)):
            return self._lie(prompt, *told)
        status, answered = self.pass_on(method, path, headers, body)
        phone_number = _field(body, "PhoneNumber")
        if path == PUSH and (lie := self.lies.get(phone_number)):
            self._begin(lie, phone_number, _field(answered, "CheckoutRequestID"))
        return status, answered

    def heal(self, phone_number: str) -> None:
        """Let Daraja's own answers through about a phone's prompts, those of the past and those to come."""
        self.lies.pop(phone_number, None)
        for prompt, (whose, _lie) in list(self._by_prompt.items()):
            if whose == phone_number:
                self._by_prompt.pop(prompt, None)

    def _begin(self, lie: Lie, phone_number: str, prompt: str) -> None:
        if lie is Lie.SLOW_PUSH:
            self.told[phone_number, lie] += 1
            time.sleep(SLOW)
        elif prompt:
            self._by_prompt[prompt] = phone_number, lie

    def _lie(self, prompt: str, phone_number: str, lie: Lie) -> Answer:
        self.told[phone_number, lie] += 1
        if lie is Lie.FAILED_ONCE:
            self._by_prompt.pop(prompt, None)
        about = {"ResponseCode": "0", "ResponseDescription": "Accepted", "CheckoutRequestID": prompt}
        cancelled = json.dumps({**about, "ResultCode": "1032", "ResultDesc": "Request cancelled by user"}).encode()
        pending = json.dumps({**about, "ResultCode": "4999", "ResultDesc": "still under processing"}).encode()
        answers: dict[Lie, Answer] = {
            Lie.PROCESSING: (200, pending),
            Lie.FAILED: (200, cancelled),
            Lie.FAILED_ONCE: (200, cancelled),
            Lie.ERROR: (500, b"<html>Internal Server Error</html>"),
            Lie.MALFORMED: (200, cancelled[: len(cancelled) // 2]),
            Lie.THROTTLED: (429, b""),
        }
        return answers[lie]


def _field(body: bytes, name: str) -> str:
    try:
        return str(json.loads(body)[name])
    except (ValueError, KeyError, TypeError):
        return ""


@contextmanager
def running_between(daraja_url: str) -> Iterator[tuple[Between, int]]:
    """Yield it, and the port that the shop takes for Daraja's."""
    between = Between(daraja_url)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(between)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield between, server.server_port
        finally:
            server.shutdown()


def _handler(between: Between) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            try:
                status, answered = between.answer(self.command, self.path, headers, body)
            except urllib3.exceptions.HTTPError:  # Daraja itself cut the answer off
                self.close_connection = True
                return
            self._send(status, answered)

        do_GET = do_POST

        def _send(self, status: int, answered: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answered)))
            self.end_headers()
            self.wfile.write(answered)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler
