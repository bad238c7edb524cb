"""What nginx refuses before a worker hears of it: its file as it is deployed, before workers that only count."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.production.stack import nginx_in_front
from tests.services import free_port

BURST = 31  # of one moment: the first, and as many as may come before their time
FLOOD = 2_000  # far more than an allowance that grows by 5 a second can keep up with


class _Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.heard[self.command] += 1  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


class Front:
    """nginx, and how many requests of each method came through it."""

    def __init__(self, url: str, heard: Counter[str]) -> None:
        self.url, self.heard, self._caller = url, heard, requests.Session()

    def send(self, method: str, path: str) -> requests.Response:
        return self._caller.request(method, f"{self.url}{path}", data={"password": "x"}, timeout=10)

    def flood(self, path: str) -> tuple[int, requests.Response]:
        """POST until one is refused; return how many were not, and the refusal."""
        for taken in range(FLOOD):
            answer = self.send("POST", path)
            if answer.status_code != 200:
                return taken, answer
        raise AssertionError(f"{FLOOD} were taken")


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    workers = ThreadingHTTPServer(("127.0.0.1", 0), _Worker)
    workers.daemon_threads = True
    workers.heard = Counter()  # type: ignore[attr-defined]
    threading.Thread(target=workers.serve_forever, daemon=True).start()
    port = free_port()
    nginx = nginx_in_front(tmp_path, port, [workers.server_port] * 2)
    nginx.start()
    try:
        yield Front(f"http://127.0.0.1:{port}", workers.heard)  # type: ignore[attr-defined]
    finally:
        nginx.end()
        workers.shutdown()
        workers.server_close()


@pytest.mark.parametrize("path", ["/admin/login/?next=/admin/", "/admin/%6cogin/", "/payments/stk-push/"])
def test_a_flood_ends_at_nginx_and_is_told_when_to_come_back(front: Front, path: str) -> None:
    taken, refusal = front.flood(path)
    assert taken >= BURST
    assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "5")
    assert front.heard["POST"] == taken


def test_an_office_behind_one_address_sees_the_form_whatever_it_sends(front: Front) -> None:
    front.flood("/admin/login/")
    assert {front.send("GET", "/admin/login/").status_code for _visitor in range(2 * BURST)} == {200}
    assert front.send("POST", "/cart/add/").status_code == 200
