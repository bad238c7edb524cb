from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.demo.load import Customers, ShopRefuses
from tests.client import Shop
from tests.server import running_server
from tests.services import free_port


def test_customers_come_and_pay_within_the_shops_own_limits(tmp_path: Path) -> None:
    with running_server(tmp_path, RATE_LIMITS="on") as server:
        came = Customers(server.base_url, seed=1).come(rate=20, seconds=2, stop=threading.Event())
        assert came["prompted"] >= 30, came
        assert not [what for what in came if what.startswith(("lost", "order refused"))], came
        assert Shop(server.base_url).get("/simulator/api/").json()


def test_the_load_stops_when_told() -> None:
    class Nobody(Customers):
        def _cheap_goods(self) -> list[str]:
            return ["x"]

    stop = threading.Event()
    stop.set()
    assert not Nobody("http://127.0.0.1:1").come(rate=1, seconds=60, stop=stop)


def test_without_a_shop_it_says_so() -> None:
    with pytest.raises(ShopRefuses, match="make run"):
        Customers(f"http://127.0.0.1:{free_port()}")


def test_a_shop_that_is_not_well_is_not_called_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Customers, "_ask", lambda *asked: (503, {"code": "unavailable"}))
    with pytest.raises(ShopRefuses, match="answers 503"):
        Customers("http://127.0.0.1:1")


def test_made_up_customers_come_only_to_the_simulator(settings: Any) -> None:
    settings.SIMULATOR = False
    with pytest.raises(CommandError, match="simulator"):
        call_command("demo_load")


@pytest.mark.parametrize("given", ["--rate=51", "--rate=0", "--minutes=61", "--minutes=x"])
def test_the_load_is_bounded(given: str) -> None:
    with pytest.raises(CommandError, match="must be a number from"):
        call_command("demo_load", given)
