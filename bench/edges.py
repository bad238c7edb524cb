"""What a server does at the edges: a body far too large, a body in chunks, readers that do not read, and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
from websockets.asyncio.client import connect

from bench.apps import App
from bench.boards import BOARD_PATH, session_of
from bench.load import run_load
from bench.machine import memory_kb
from bench.payments import Payment
from bench.wire import Caller, Refused
from tests.client import Shop, new_phone_number
from tests.fake_daraja import Answer, Push, accepted

MEGABYTE = bytes(1024 * 1024)
SLOW_READERS = 50
SLOW_WINDOW = 4096  # bytes that a reader who does not read takes nevertheless
DARAJA_SECONDS = 3.0  # that the push takes which is running at SIGTERM
CALLING = 4  # at once while a server is told to stop
BEFORE_THE_END = 1.0  # seconds
PATIENCE = 60.0  # seconds


class Peak:
    """The most memory that a process had while it was watched, in MB above what it had before."""

    def __init__(self, process_id: int) -> None:
        self._process_id, self._before, self._most = process_id, memory_kb(process_id), 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, memory_kb(self._process_id))

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return max(0.0, self._most - self._before) / 1024


@contextmanager
def _connected(app: App) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", app.port), timeout=PATIENCE) as client:
        yield client


def post_too_much(app: App, megabytes: int, *, chunked: bool) -> tuple[str, float]:
    """Post so many MB as a callback; return how it was answered, and by how many MB the server grew meanwhile."""
    path = app.take(1)[0].callback_path
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {megabytes * len(MEGABYTE)}"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    piece = b"%x\r\n%b\r\n" % (len(MEGABYTE), MEGABYTE) if chunked else MEGABYTE
    peak = Peak(app.process_id)
    with _connected(app) as client:
        with contextlib.suppress(OSError):  # it hangs up before the end, and has said why
            client.sendall(head.encode())
            for _ in range(megabytes):
                client.sendall(piece)
            client.sendall(b"0\r\n\r\n" if chunked else b"")
        answer = _first_line(client)
    return answer, peak.stop()


def post_in_chunks(app: App) -> str:
    """Post a callback in three chunks; return how it was answered."""
    payment = app.take(1)[0]
    body = json.dumps(payment.body).encode()
    pieces = [body[:50], body[50:100], body[100:]]
    head = f"POST {payment.callback_path} HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with _connected(app) as client:
        client.sendall(head.encode())
        for piece in (*pieces, b""):
            client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        return _first_line(client)


def _first_line(client: socket.socket) -> str:
    """Return the status of an answer, or that there was none."""
    try:
        line = client.recv(4096).partition(b"\r\n")[0].decode()
    except OSError:
        return "hung up"
    return line.split(" ")[1] if line else "hung up"


async def grow_by_slow_readers(app: App, payments: int, *, rate: float) -> tuple[float, float]:
    """Complete payments while boards are open that nobody reads.

    Return by how many MB the server grew, and the p99 of the pages' own push in milliseconds.
    """
    session, readers = session_of(app), []
    for _ in range(SLOW_READERS):
        readers.append(_deaf_board(app, session))
    await asyncio.sleep(1)
    peak = Peak(app.process_id)
    sample = await run_load(app, payments, rate=rate, seed=0)
    grown = peak.stop()
    for reader in readers:
        reader.close()
    return grown, 1000 * sorted(sample.frames)[math.ceil(0.99 * payments) - 1]


def _deaf_board(app: App, session: str) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_WINDOW)
    client.connect(("127.0.0.1", app.port))
    origin = f"http://127.0.0.1:{app.port}"
    lines = [f"GET {BOARD_PATH} HTTP/1.1", f"Host: 127.0.0.1:{app.port}", f"Origin: {origin}", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    client.sendall("\r\n".join([*lines, f"Cookie: sessionid={session}", "", ""]).encode())
    return client


@dataclass
class Ending:
    """What became of everything that ran when a server was told to stop."""

    push: str = ""
    held_polls: Counter[str] = field(default_factory=Counter)
    callbacks: Counter[str] = field(default_factory=Counter)
    close_codes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    exit_status: int | None = None


async def end(app: App, *, sockets: int = 20, held_polls: int = 4) -> Ending:
    """Send SIGTERM while a push is at Daraja, polls are held, sockets are open and callbacks come."""
    assert app.server is not None
    assert app.daraja is not None
    ending, shop = Ending(), Shop(app.server.base_url)
    app.daraja.on_push = _slowly
    order = await asyncio.to_thread(shop.order)
    waiting = app.take(sockets)
    tasks = [asyncio.create_task(_hold_socket(app, payment, ending)) for payment in waiting]
    tasks += [asyncio.create_task(_hold_poll(shop, payment, ending)) for payment in waiting[:held_polls]]
    tasks += [asyncio.create_task(_keep_calling(app, ending)) for _ in range(CALLING)]
    tasks.append(asyncio.create_task(_push(shop, order["order_id"], ending)))
    await asyncio.sleep(BEFORE_THE_END)
    began = time.monotonic()
    ending.exit_status = await asyncio.to_thread(app.server.stop)
    ending.seconds = time.monotonic() - began
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    return ending


def _slowly(push: Push) -> Answer:
    answer = accepted(push)
    answer.after = DARAJA_SECONDS
    return answer


async def _push(shop: Shop, order_id: str, ending: Ending) -> None:
    ending.push = await _status_of(shop.push, order_id, new_phone_number())


async def _hold_poll(shop: Shop, payment: Payment, ending: Ending) -> None:
    transaction_id = payment.socket_path.split("/")[3]
    path = f"/payments/status/?transaction_id={transaction_id}&since=99&wait=25"
    ending.held_polls[await _status_of(shop.get, path)] += 1


async def _status_of(ask: Callable[..., requests.Response], *arguments: str) -> str:
    try:
        return str((await asyncio.to_thread(ask, *arguments)).status_code)
    except requests.RequestException:
        return "dropped"


async def _hold_socket(app: App, payment: Payment, ending: Ending) -> None:
    async with connect(f"ws://127.0.0.1:{app.port}{payment.socket_path}", ping_interval=None) as page:
        await page.wait_closed()
        ending.close_codes[str(page.close_code)] += 1


async def _keep_calling(app: App, ending: Ending) -> None:
    """Post callbacks, each on a connection of its own as Safaricom does, until nobody listens any more."""
    for payment in app.payments:
        try:
            _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", app.port)
        except OSError:
            return
        try:
            await asyncio.wait_for(caller.post(payment.request(app.port))[1], PATIENCE)
            ending.callbacks["answered 200"] += 1
        except (Refused, TimeoutError):
            ending.callbacks["cut off"] += 1
        finally:
            caller.close()
