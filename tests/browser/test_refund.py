"""Paid twice: the supervisor sends the money back, and the customer's open page says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import AT_ONCE, OpenPage
from tests.client import Shop, as_stored, new_phone_number
from tests.server import RunningServer, running_server

pytestmark = pytest.mark.browser

TOLD_LATE = "0712000010"  # pays; callback and query tell only after the shop gave up
LATE_MONEY = 40  # seconds until that has surely come
SMALL_PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = {"MPESA_EXPIRE_AFTER_SECONDS": "3", "MPESA_QUERY_AFTER_SECONDS": "1", "RATE_LIMITS": "off"}
    with running_server(tmp_path_factory.mktemp("market"), **settings) as server:
        yield server


def pay_twice(shop: Shop) -> str:
    """Pay an order from two phones, the first of which M-PESA tells of last; return that payment's id."""
    order_id = shop.order()["order_id"]
    first = shop.push(order_id, TOLD_LATE).json()["transaction_id"]
    shop.wait_for(first, "FAILED")
    phone_number = new_phone_number()
    second = shop.push(order_id, phone_number)
    assert second.status_code == 201, second.text
    answer = shop.post(f"/simulator/api/phones/{as_stored(phone_number)}/answer/", json={"pin": "1234"})
    assert answer.status_code == 200, answer.text
    shop.wait_for(second.json()["transaction_id"], "COMPLETED")
    assert shop.wait_for(first, "COMPLETED", within=LATE_MONEY)["surplus"]
    return str(first)


async def log_in(page: Page, market: RunningServer) -> None:
    login = re.search(r"Staff login: (\S+) / (\S+)", market.output)
    assert login
    await page.goto(f"{market.base_url}/admin/login/?next=/admin/payments/refund/")
    await page.get_by_label("Username").fill(login[1])
    await page.get_by_label("Password").fill(login[2])
    await page.get_by_role("button", name="Log in").click()


async def test_money_that_came_twice_goes_back_and_the_open_page_says_so(
    market: RunningServer, open_page: OpenPage
) -> None:
    shop = Shop(market.base_url)
    paid_twice = await asyncio.to_thread(pay_twice, shop)
    customer = await open_page(f"{market.base_url}/payments/{paid_twice}/", viewport=SMALL_PHONE)
    await expect(customer.locator("h1")).to_have_text("Two payments arrived")
    await expect(customer.locator("html")).to_have_attribute("data-connection", "live")
    await customer.evaluate("() => { window.marked = true }")
    amount = shop.status(paid_twice)["amount"]

    supervisor = await open_page(java_script_enabled=False)
    await log_in(supervisor, market)
    await supervisor.get_by_role("link", name=re.compile("Paid twice")).click()
    await expect(supervisor.get_by_label("Amount in KES")).to_have_value("")
    await supervisor.get_by_label("Amount in KES").fill(str(amount))
    await supervisor.get_by_role("button", name="Give back").click()
    await expect(supervisor.locator("#content")).to_contain_text("M-PESA is at it")

    await expect(customer.locator("h1")).to_have_text("Money sent back", timeout=AT_ONCE)
    assert await customer.evaluate("() => window.marked === true")
    await expect(customer.locator("#payment")).to_contain_text(f"KES {amount:,} was sent back to you")
    ledger = shop.get("/simulator/api/reversals/").json()
    assert (ledger["count"], ledger["amount"]) == (1, amount)

    await supervisor.reload()
    await expect(supervisor.locator("#content")).to_contain_text("Sent back")
    await supervisor.goto(f"{market.base_url}/admin/payments/refund/")
    await expect(supervisor.get_by_text("Money that should go back")).to_have_count(0)
    await supervisor.goto(f"{market.base_url}/admin/payments/live/")
    await expect(supervisor.get_by_role("main")).to_contain_text("sent back")
    await customer.goto(f"{market.base_url}/payments/{paid_twice}/receipt/")
    await expect(customer.get_by_role("main")).to_contain_text("Sent back")
