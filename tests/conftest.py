"""Servers and clients for the journeys, which see the shop from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.client import Shop, as_stored, new_phone_number
from tests.fake_daraja import FakeDaraja, Push, running_daraja
from tests.server import RunningServer, running_server


@dataclass
class Payment:
    """A payment that Daraja has been asked for, from all three sides."""

    order: dict[str, Any]
    document: dict[str, Any]  # as the push answered
    push: Push

    @property
    def id(self) -> str:
        return str(self.document["transaction_id"])

    @property
    def order_id(self) -> str:
        return str(self.order["order_id"])


@pytest.fixture(scope="session")
def _daraja_and_url() -> Iterator[tuple[FakeDaraja, str]]:
    with running_daraja() as found:
        yield found


@pytest.fixture
def daraja(_daraja_and_url: tuple[FakeDaraja, str]) -> Iterator[FakeDaraja]:
    """The Daraja that `server` talks to, on its best behaviour at the start of each test."""
    _daraja_and_url[0].behave()
    yield _daraja_and_url[0]
    _daraja_and_url[0].behave()


@pytest.fixture(scope="session")
def server(
    _daraja_and_url: tuple[FakeDaraja, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server for all journeys that do not stop it; it asks the fake Daraja and never gives up on its own."""
    settings = {
        "DARAJA_BASE_URL": _daraja_and_url[1],
        "DARAJA_TIMEOUT_SECONDS": "2",
        "MPESA_QUERY_AFTER_SECONDS": "3600",
        "MPESA_EXPIRE_AFTER_SECONDS": "86400",
        "RATE_LIMITS": "off",
    }
    with running_server(tmp_path_factory.mktemp("server"), **settings) as found:
        yield found


@pytest.fixture
def shop(server: RunningServer) -> Shop:
    return Shop(server.base_url)


@pytest.fixture
def payment(shop: Shop, daraja: FakeDaraja) -> Payment:
    """A payment whose prompt is on the phone."""
    return start_payment(shop, daraja)


def start_payment(shop: Shop, daraja: FakeDaraja) -> Payment:
    order, phone_number = shop.order(), new_phone_number()
    answer = shop.push(order["order_id"], phone_number)
    assert answer.status_code == 201, answer.text
    return Payment(order, answer.json(), daraja.push_for(as_stored(phone_number)))
