"""F21, F23, F24: what browsers, and what stands before them, do to a page and to its socket."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from playwright.async_api import Error
from playwright.async_api import Page as Tab

from tests.faults.rig.chromium import HIDE, Chromium
from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import CHROMIUM, Fault, Injection

_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
CLOSE_CODES = (1000, 1001, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 1014, 4000, 4404)
LASTS = 6  # seconds


def _sockets(answer: Callable[[bytes], bytes | None]) -> Injection:
    """Let a proxy before the shop answer each handshake so, from its request; where it says None, never."""

    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        cluster.shop.answer_sockets(answer)
        try:
            time.sleep(LASTS)
            yield
        finally:
            cluster.shop.answer_sockets(None)

    return inject


def _closed(code: int) -> Callable[[bytes], bytes | None]:
    """Open each socket as asked, and close it at once with `code`."""
    return lambda request: _accepted(request) + _farewell(code)


def _refused(status: bytes) -> Callable[[bytes], bytes | None]:
    return lambda request: b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _never(request: bytes) -> None:
    """Answer nothing."""


def _accepted(request: bytes) -> bytes:
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert found, request
    proof = base64.b64encode(hashlib.sha1(found[1] + _WEBSOCKET).digest())
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return upgrade + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"


def _farewell(code: int) -> bytes:
    """Return the frame that closes so: none at all for 1006, one without a code for 1005."""
    if code == 1006:
        return b""
    return b"\x88\x00" if code == 1005 else b"\x88\x02" + code.to_bytes(2, "big")


def _browser(cluster: Cluster) -> Chromium:
    assert cluster.chromium
    return cluster.chromium


@contextmanager
def _hidden(cluster: Cluster) -> Iterator[None]:
    """Hide every tab as the PIN prompt does, lose the sockets meanwhile, and come back."""
    time.sleep(3)
    _browser(cluster).each(lambda tab, page: tab.evaluate(HIDE, True))
    cluster.shop.cut()
    time.sleep(LASTS)
    _browser(cluster).each(lambda tab, page: tab.evaluate(HIDE, False))
    yield


@contextmanager
def _frozen(cluster: Cluster) -> Iterator[None]:
    time.sleep(3)
    with _browser(cluster).frozen():
        time.sleep(LASTS)
    yield


@contextmanager
def _left_and_come_back(cluster: Cluster) -> Iterator[None]:
    """Go to the shop's first page and, after a while, Back: most come out of the browser's cache."""
    time.sleep(3)
    _browser(cluster).each(lambda tab, page: _go(tab, f"location.assign({cluster.base_url!r})"))
    time.sleep(LASTS)
    _browser(cluster).each(lambda tab, page: _go(tab, "history.back()"))
    yield


async def _go(tab: Tab, where: str) -> None:
    with suppress(Error):  # one that is still loading stays where it is
        await tab.evaluate(f"() => {{ {where} }}")


@contextmanager
def _slow_processor(cluster: Cluster) -> Iterator[None]:
    async def throttle(rate: int) -> None:
        for page in _browser(cluster).pages:
            await (await page.devtools()).send("Emulation.setCPUThrottlingRate", {"rate": rate})

    time.sleep(1)
    _browser(cluster).each(lambda tab, page: throttle(20))
    time.sleep(LASTS)
    _browser(cluster).each(lambda tab, page: throttle(1))
    yield


FAULTS = [
    Fault("F21a", "tabs hidden, their sockets lost meanwhile", _hidden, needs=CHROMIUM),
    Fault("F21b", "tabs frozen for 6 s", _frozen, needs=CHROMIUM),
    Fault("F21c", "pages left, and come back to with Back", _left_and_come_back, needs=CHROMIUM),
    Fault("F21d", "a processor 20 times slower", _slow_processor, needs=CHROMIUM),
    Fault("F23b", "sockets refused with 403 by a proxy", _sockets(_refused(b"403 Forbidden")),
          sockets_suffice=False, is_of_pages=True),
    Fault("F23c", "sockets refused with 426 by a proxy", _sockets(_refused(b"426 Upgrade Required")),
          sockets_suffice=False, is_of_pages=True),
    Fault("F23d", "handshakes of sockets never answered", _sockets(_never), sockets_suffice=False,
          is_of_pages=True),
    *(
        Fault(f"F24{letter}", f"sockets closed with {code}", _sockets(_closed(code)), sockets_suffice=code < 4400,
              is_of_pages=True)
        for letter, code in zip("abcdefghijkl", CLOSE_CODES, strict=True)
    ),
]  # fmt: skip
