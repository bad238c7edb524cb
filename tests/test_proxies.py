"""Who the client is, when proxies of ours, or somebody who only claims to be one, stand in between."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from middleware import TrustedProxies


async def _seen(peer: str, forwarded: str = "", proto: str = "", kind: str = "http") -> tuple[str, str]:
    seen: dict[str, Any] = {}

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.update(scope)

    headers = [(b"x-forwarded-for", forwarded.encode()), (b"x-forwarded-proto", proto.encode())]
    scheme = "http" if kind == "http" else "ws"
    scope = {"type": kind, "client": (peer, 1), "scheme": scheme, "headers": [pair for pair in headers if pair[1]]}
    await TrustedProxies(application)(scope, None, None)
    return seen["client"][0], seen["scheme"]


@pytest.fixture(autouse=True)
def proxies(settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]


async def test_the_client_is_counted_from_the_right() -> None:
    assert await _seen("10.0.0.1", "196.201.214.200, 41.0.0.9, 10.2.2.2") == ("41.0.0.9", "http")


async def test_a_stranger_is_not_believed() -> None:
    assert await _seen("41.0.0.9", "196.201.214.200", "https") == ("41.0.0.9", "http")


async def test_https_is_believed_from_a_proxy_for_pages_and_sockets() -> None:
    assert await _seen("10.0.0.1", "41.0.0.9", "https") == ("41.0.0.9", "https")
    assert await _seen("10.0.0.1", "41.0.0.9", "https", "websocket") == ("41.0.0.9", "wss")


@pytest.mark.parametrize("forwarded", ["", "garbage", "41.0.0.9, garbage", ","])
async def test_what_is_no_address_leaves_the_proxy_as_client(forwarded: str) -> None:
    assert await _seen("10.0.0.1", forwarded) == ("10.0.0.1", "http")


async def test_without_trusted_proxies_nothing_is_read(settings: Any) -> None:
    settings.TRUSTED_PROXIES = []
    assert await _seen("10.0.0.1", "41.0.0.9", "https") == ("10.0.0.1", "http")
