"""`manage.py worker`: what a proxy, a deployment and a stranger may do to a production process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from tests.client import Shop, as_stored, new_phone_number, next_document
from tests.fake_daraja import FakeDaraja, running_daraja
from tests.patience import PATIENCE
from tests.server import RunningServer, own_database

Running = tuple[RunningServer, FakeDaraja]


@pytest.fixture(scope="module")
def _worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("worker")
    with running_daraja() as (daraja, url), own_database() as urls:
        server = RunningServer(directory, command="worker", DARAJA_BASE_URL=url, RATE_LIMITS="off", **urls)
        server.prepare()
        yield server, daraja
        server.stop()


@pytest.fixture
def worker(_worker: Running) -> Running:
    """A worker that a test may stop, running again, and its Daraja."""
    server, daraja = _worker
    daraja.behave()
    if server.process is None:
        server.start()
    return server, daraja


def test_it_takes_a_payment_and_tells_its_page(worker: Running) -> None:
    server, daraja = worker
    shop, phone_number = Shop(server.base_url), new_phone_number()
    transaction_id = shop.push(shop.order()["order_id"], phone_number).json()["transaction_id"]
    with shop.socket(transaction_id) as page:
        assert next_document(page)["status"] == "PENDING"
        assert daraja.push_for(as_stored(phone_number)).succeed().status_code == 200
        assert next_document(page)["status"] == "COMPLETED"


def test_sigterm_turns_it_red_sends_who_waits_elsewhere_and_finishes_what_runs(worker: Running) -> None:
    server, daraja = worker
    shop, phone_number = Shop(server.base_url), new_phone_number()
    transaction_id = shop.push(shop.order()["order_id"], phone_number).json()["transaction_id"]
    slow = new_phone_number()
    order_id = shop.order()["order_id"]
    with shop.socket(transaction_id) as page, ThreadPoolExecutor(2) as customers:
        version = next_document(page)["version"]
        poll = customers.submit(shop.get, f"/payments/status/?transaction_id={transaction_id}&since={version}&wait=25")
        release = _hold(daraja)
        push = customers.submit(shop.push, order_id, slow)
        daraja.push_for(as_stored(slow))
        assert server.process is not None
        server.process.terminate()
        assert _turns_red(server) == ["draining"]
        with pytest.raises(ConnectionClosed) as closed:
            next_document(page)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
        assert poll.result(timeout=PATIENCE).status_code == 200
        release.set()
        assert push.result(timeout=PATIENCE).status_code == 201
    assert server.process.wait(timeout=PATIENCE) == 0
    server.process = None
    assert "Traceback" not in server.output


def _hold(daraja: FakeDaraja) -> threading.Event:
    release = threading.Event()
    daraja.on_push = lambda _push: release.wait(10) and None
    return release


def _turns_red(server: RunningServer) -> list[str]:
    """Return what `/readyz` names once it is red; the process still answers then."""
    while True:
        answer = requests.get(f"{server.base_url}/readyz", timeout=5)
        if answer.status_code == 503:
            assert answer.headers["Connection"] == "close"
            return list(answer.json()["not_ready"])


def _raw(server: RunningServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stranger:
        stranger.sendall(request)
        answer = b""
        while part := stranger.recv(65536):
            answer += part
        return answer


HEAD = b"POST /api/orders/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def test_a_body_beyond_all_bounds_is_refused_unread(worker: Running) -> None:
    answer = _raw(worker[0], HEAD + b"Content-Length: 300000000\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "too_large"' in answer


def test_a_body_of_unknown_length_ends_where_it_becomes_too_long(worker: Running) -> None:
    chunk = b"%x\r\n" % 2**16 + bytes(2**16) + b"\r\n"
    answer = _raw(worker[0], HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("header", ["Daphne-Root-Path: /x", "X-Forwarded-Prefix: /x", "X-Script-Name: /x"])
def test_no_header_moves_the_root(worker: Running, header: str) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\nConnection: close\r\n\r\n"
    assert _raw(worker[0], request.encode()).startswith(b"HTTP/1.1 200 ")


def test_a_wrong_setting_is_refused_in_words(tmp_path: Path) -> None:
    server = RunningServer(tmp_path, command="worker", MPESA_ENVIRONMENT="mainframe")
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(timeout=PATIENCE) == 1
    server.process = None
    assert "MPESA_ENVIRONMENT must be one of" in server.output
    assert "Traceback" not in server.output
