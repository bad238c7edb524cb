"""An existing shop with orders of its own takes Papo in as docs/own-shop.md says: example/, put together and run."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

from example.take_papo import take
from tests.client import Shop, as_stored, new_phone_number, next_document
from tests.fake_daraja import FakeDaraja, running_daraja
from tests.server import RunningServer

LOGIN = {"DJANGO_SUPERUSER_USERNAME": "baker", "DJANGO_SUPERUSER_PASSWORD": "the baker's own", "DEBUG": "on"}
STAFF_PAGES = (
    *("/admin/", "/admin/payments/live/", "/admin/payments/counter/", "/admin/payments/orders/"),
    *("/admin/payments/transaction/", "/admin/payments/refund/", "/admin/payments/finding/books/"),
)


@pytest.fixture(scope="module")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, FakeDaraja]]:
    directory = tmp_path_factory.mktemp("bakery")
    take(directory / "project")
    with running_daraja() as (daraja, url):
        server = RunningServer(directory, command="worker", DARAJA_BASE_URL=url, RATE_LIMITS="off", **LOGIN)
        server.project = directory / "project"
        server.manage("migrate", "--verbosity", "0")
        server.manage("createsuperuser", "--noinput", "--email", "baker@example.com")
        try:
            yield server.start(), daraja
        finally:
            server.stop()


def _order_a_cake(browser: requests.Session, base_url: str) -> str:
    """Order as a customer does and return the id of the bill."""
    token = _csrf(browser.get(f"{base_url}/", timeout=20).text)
    said = {"csrfmiddlewaretoken": token, "customer": "Wanjiku", "cake": "Black forest"}
    page = browser.post(f"{base_url}/", data=said, headers={"Referer": f"{base_url}/"}, timeout=20)
    assert "Pay KES 2,400 with M-PESA" in page.text
    return page.url.rstrip("/").rpartition("/")[2]


def _csrf(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found
    return found[1]


def _cakes(server: RunningServer) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(server.directory / "shop.sqlite3")) as database:
        return database.execute("SELECT customer, state FROM bakery_cakeorder ORDER BY id DESC").fetchall()


def test_a_callback_pays_the_shops_own_order(bakery: tuple[RunningServer, FakeDaraja]) -> None:
    server, daraja = bakery
    shop, browser, phone_number = Shop(server.base_url), requests.Session(), new_phone_number()
    order_id = _order_a_cake(browser, server.base_url)
    assert _cakes(server)[0] == ("Wanjiku", "new")
    pushed = shop.push(order_id, phone_number)
    assert (pushed.status_code, pushed.json()["amount"]) == (201, 2400)
    transaction_id = pushed.json()["transaction_id"]
    with shop.socket(transaction_id) as page:
        assert next_document(page)["status"] == "PENDING"
        assert daraja.push_for(as_stored(phone_number)).succeed().status_code == 200
        assert next_document(page)["status"] == "COMPLETED"
    assert _cakes(server)[0] == ("Wanjiku", "paid")
    assert "It is in the oven" in browser.get(f"{server.base_url}/orders/{order_id}/", timeout=20).text
    assert shop.order_now(order_id)["status"] == "PAID"
    for path in (f"/payments/{transaction_id}/", f"/payments/{transaction_id}/receipt/"):
        assert shop.get(path).status_code == 200, path
    assert "Black forest" in shop.get(f"/payments/{transaction_id}/receipt/").text


def test_money_that_comes_twice_leaves_the_cake_paid_once(bakery: tuple[RunningServer, FakeDaraja]) -> None:
    server, daraja = bakery
    shop, first, second = Shop(server.base_url), new_phone_number(), new_phone_number()
    order_id = _order_a_cake(requests.Session(), server.base_url)
    earlier = shop.push(order_id, first).json()["transaction_id"]
    assert daraja.push_for(as_stored(first)).fail(1037, "No response").status_code == 200
    later = shop.push(order_id, second).json()["transaction_id"]
    assert daraja.push_for(as_stored(second)).succeed().status_code == 200
    assert daraja.push_for(as_stored(first)).succeed().status_code == 200
    assert shop.status(later)["surplus"] is False
    assert (shop.status(earlier)["status"], shop.status(earlier)["surplus"]) == ("COMPLETED", True)
    assert shop.order_now(order_id)["amount_paid"] == 4800


def test_staff_find_every_page(bakery: tuple[RunningServer, FakeDaraja]) -> None:
    server, _ = bakery
    staff, login = requests.Session(), f"{server.base_url}/admin/login/"
    said = {"username": LOGIN["DJANGO_SUPERUSER_USERNAME"], "password": LOGIN["DJANGO_SUPERUSER_PASSWORD"]}
    said["csrfmiddlewaretoken"] = _csrf(staff.get(login, timeout=20).text)
    staff.post(login, data=said, headers={"Referer": login}, timeout=20)
    for path in STAFF_PAGES:
        page = staff.get(f"{server.base_url}{path}", timeout=20)
        assert (page.status_code, page.url) == (200, f"{server.base_url}{path}"), path


def test_its_migrations_say_all_that_its_models_do(bakery: tuple[RunningServer, FakeDaraja]) -> None:
    bakery[0].manage("makemigrations", "--check", "--dry-run", "--verbosity", "0")
