"""F22, F27: more sockets than any shop has customers, and those that never read what they are sent."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import requests
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import SERVICES, TWO, Fault

HERD, NEVER_READ, PAYMENTS = 2_000, 200, 20
BACK_WITHIN = 20.0  # seconds after the first worker is ready
MAY_GROW = 50 << 20  # bytes a worker


def _begin_payments(cluster: Cluster, count: int, **plan: str) -> list[str]:
    """Return the ids of payments that belong to none of the run's customers."""
    begun = []
    for _payment in range(count):
        phone_number = f"25478{uuid.uuid4().int % 10**7:07d}"
        cluster.simulate(f"phones/{phone_number}/", **plan)
        order = {"items": [{"sku": "unga-2kg", "quantity": 1}]}
        order_id = requests.post(f"{cluster.base_url}/api/orders/", json=order, timeout=10).json()["order_id"]
        push = {"order_id": order_id, "phone_number": phone_number}
        answer = requests.post(f"{cluster.base_url}/payments/stk-push/", json=push, timeout=10).json()
        begun.append(answer["transaction_id"])
    return begun


@contextmanager
def _herd(cluster: Cluster) -> Iterator[None]:
    """Let 2,000 pages be open, kill every worker, and let all of them come back at once when one is there again."""
    watched = _begin_payments(cluster, PAYMENTS, outcome="paid", delivery="late")
    ids = [watched[number % PAYMENTS] for number in range(HERD)]
    ports = [worker.port for worker in cluster.workers]
    asyncio.run(_look(ports, ids, until="PENDING", within=60))
    for worker in cluster.workers:
        worker.kill()
    for worker in cluster.workers:
        worker.start()
    yield
    told = asyncio.run(_look(ports, ids, until="COMPLETED", within=BACK_WITHIN))
    errors = [each for each in told if isinstance(each, int) and each >= 500]
    slow = [each for each in told if each is None]
    if errors or slow:
        cluster.found.append(f"I5: of {HERD} pages {len(slow)} were not right in time, {len(errors)} met an error")


async def _look(ports: list[int], ids: list[str], *, until: str, within: float) -> list[float | int | None]:
    """Open a page for each id at once; for each the seconds until it was told `until`, a refusal's status, or None."""
    begin = time.monotonic()
    pages = (_page(ports[number % len(ports)], each, until, begin + within) for number, each in enumerate(ids))
    return await asyncio.gather(*pages)


async def _page(port: int, transaction_id: str, until: str, give_up: float) -> float | int | None:
    begin = time.monotonic()
    url = f"ws://127.0.0.1:{port}/ws/payments/{transaction_id}/?format=json"
    while time.monotonic() < give_up:
        try:
            async with asyncio.timeout(give_up - time.monotonic()), connect(url, open_timeout=None) as page:
                while json.loads(await page.recv()).get("status") not in {until, "COMPLETED"}:
                    pass
                return time.monotonic() - begin
        except InvalidStatus as refusal:
            return refusal.response.status_code
        except (OSError, TimeoutError, WebSocketException):
            await asyncio.sleep(0.5)
    return None


@contextmanager
def _never_reading(cluster: Cluster) -> Iterator[None]:
    """Keep 200 sockets open that read nothing, each with room for 4 KiB, until the verdict."""
    watched = _begin_payments(cluster, PAYMENTS, outcome="cancelled", delivery="once")
    before = [_resident(worker.process.pid) for worker in cluster.workers if worker.process]
    with ExitStack() as stack:
        for number in range(NEVER_READ):
            stack.enter_context(_deaf(cluster.workers[number % len(cluster.workers)].port, watched[number % PAYMENTS]))
        time.sleep(3)
        cluster.repairs.push(stack.pop_all())
    yield
    after = [_resident(worker.process.pid) for worker in cluster.workers if worker.process]
    grown = max(now - then for then, now in zip(before, after, strict=True))
    if grown > MAY_GROW:
        cluster.found.append(f"I8: a worker has grown by {grown >> 20} MiB")


@contextmanager
def _deaf(port: int, transaction_id: str) -> Iterator[None]:
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(
            f"GET /ws/payments/{transaction_id}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGFwb3BhcG9wYXBvcGFwbw==\r\n"
            "\r\n".encode()
        )
        with suppress(OSError):
            yield


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process has in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


FAULTS = [
    Fault("F22", "200 sockets that never read", _never_reading),
    Fault("F27", "2,000 pages come back at once after every worker was killed", _herd, needs=SERVICES | TWO,
          is_long=True),
]  # fmt: skip
