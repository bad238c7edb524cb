"""The staff's board in another process than the one that hears of the payment, on a channel layer that breaks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from realtime.tests.conftest import RedisServer
from tests.client import Shop
from tests.conftest import start_payment
from tests.fake_daraja import FakeDaraja, running_daraja
from tests.faults.rig.proxy import Mode, Proxy
from tests.server import RunningServer, own_database
from tests.test_serve import wait_for_login

BOARD = "/ws/staff/payments/"


@contextmanager
def breakable(port: int) -> Iterator[Proxy]:
    """Run a network to a port that a test can break."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = Proxy(loop, [port], seed=1)
    asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result(timeout=5)
    yield proxy
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=5)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer, Proxy, FakeDaraja]]:
    """Two processes of one shop; the second reaches Redis through a network that can break."""
    redis, settings = RedisServer(), {"RATE_LIMITS": "off"}
    redis.start()
    with running_daraja() as (daraja, url), own_database() as urls, breakable(redis.port) as network:
        settings |= {"DARAJA_BASE_URL": url, "MPESA_QUERY_AFTER_SECONDS": "3600", **urls}
        first = RunningServer(tmp_path, **{**settings, "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0"})
        second = RunningServer(tmp_path, **{**settings, "REDIS_URL": f"redis://127.0.0.1:{network.port}/0"})
        second.log = tmp_path / "second.log"
        try:
            yield first.start(), second.start(), network, daraja
        finally:
            second.stop()
            first.stop()
            redis.kill()


def board_of(server: RunningServer, login: tuple[str, str]) -> ClientConnection:
    with requests.Session() as browser:
        page = f"{server.base_url}/admin/login/"
        browser.get(page, timeout=10)
        form = {"username": login[0], "password": login[1], "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post(page, data=form, headers={"Referer": page}, timeout=10)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    url = f"{server.base_url.replace('http', 'ws', 1)}{BOARD}"
    return connect(url, origin=server.base_url, additional_headers={"Cookie": cookies})  # type: ignore[arg-type]


def wait_for_row(board: ClientConnection, transaction_id: str, words: str, *, within: float = 20) -> str:
    """Return the board's text that has a payment's row with these words."""
    give_up = time.monotonic() + within
    while True:
        text = str(board.recv(timeout=max(0.01, give_up - time.monotonic())))
        row = text.partition(f'id="p-{transaction_id}"')[2].partition("</tr>")[0]
        if words in row:
            return row


def test_a_board_whose_channel_layer_is_cut_has_the_row_after_the_tailers_pass(
    two: tuple[RunningServer, RunningServer, Proxy, FakeDaraja],
) -> None:
    first, second, network, daraja = two
    with board_of(second, wait_for_login(first)) as board:
        payment = start_payment(Shop(first.base_url), daraja)
        wait_for_row(board, payment.id, "Waiting")
        network.become(Mode.RESET)  # nothing that the first process publishes reaches the second from here on
        assert payment.push.succeed(MpesaReceiptNumber="UKPCUTOFF1").status_code == 200
        assert "Paid" in wait_for_row(board, payment.id, "UKPCUTOFF1")
        other = start_payment(Shop(first.base_url), daraja)
        wait_for_row(board, other.id, "Waiting")
        network.become(Mode.PASS)
        assert other.push.fail(1032).status_code == 200
        wait_for_row(board, other.id, "Cancelled on the phone")
