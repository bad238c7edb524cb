"""The whole of it, with nothing of ours faked: the shop, the handset page, and what the customer sees."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import AT_ONCE, OpenPage
from tests.client import new_phone_number
from tests.server import RunningServer, running_server

pytestmark = pytest.mark.browser

SMALL_PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """What `make run` is: the shop and the simulator in one server, with the defaults."""
    with running_server(tmp_path_factory.mktemp("market"), RATE_LIMITS="off") as server:
        yield server


async def buy(page: Page, market: RunningServer, phone_number: str) -> None:
    """Go from the catalogue to the page that waits for the PIN."""
    await page.goto(market.base_url)
    await page.locator("#kiondo button").click()
    await page.get_by_role("link", name="View basket").click()
    await page.get_by_role("button", name="Continue to payment").click()
    await page.get_by_label("M-PESA phone number").fill(phone_number)
    await page.get_by_role("button", name="Pay KES 2,400 with M-PESA").click()
    await expect(page).to_have_url(re.compile(r"/payments/[0-9a-f-]{36}/$"))
    await expect(page.locator("h1")).to_have_text("Check your phone")


async def pick_up(open_page: OpenPage, market: RunningServer, phone_number: str) -> Page:
    phone = await open_page(f"{market.base_url}/simulator/phone/{phone_number}/")
    await expect(phone.locator("#prompt")).to_contain_text("2,400")
    return phone


async def type_pin(phone: Page, pin: str) -> None:
    for digit in pin:
        await phone.get_by_role("group", name="Keypad").get_by_role("button", name=digit, exact=True).click()
    await phone.get_by_role("button", name="Send").click()


async def test_a_customer_buys_types_the_pin_and_reads_paid_without_a_reload(
    market: RunningServer, open_page: OpenPage
) -> None:
    phone_number = new_phone_number()
    page = await open_page(viewport=SMALL_PHONE)
    await buy(page, market, phone_number)
    await page.evaluate("() => { window.marked = true }")

    phone = await pick_up(open_page, market, phone_number)
    await type_pin(phone, "1234")

    await expect(page.locator("h1")).to_have_text("Payment received", timeout=AT_ONCE)
    assert await page.evaluate("() => window.marked === true")
    code = await page.locator("#code").inner_text()
    await expect(phone.locator(".sms")).to_contain_text(code)
    await page.get_by_role("link", name="View receipt").click()
    await expect(page.get_by_role("main")).to_contain_text(code)
    await expect(page.get_by_role("main")).to_contain_text("2,400")


async def test_a_customer_cancels_is_told_why_and_pays_at_the_second_try(
    market: RunningServer, open_page: OpenPage
) -> None:
    phone_number = new_phone_number()
    page = await open_page(viewport=SMALL_PHONE)
    await buy(page, market, phone_number)
    phone = await pick_up(open_page, market, phone_number)
    await phone.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator("#payment")).to_have_attribute("data-status", "FAILED", timeout=AT_ONCE)
    await expect(page.locator("#payment")).to_contain_text("No money was taken")

    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("h1")).to_have_text("Check your phone")
    await type_pin(phone, "4321")
    await expect(page.locator("h1")).to_have_text("Payment received", timeout=AT_ONCE)


async def test_a_receipt_survives_on_another_device(market: RunningServer, open_page: OpenPage) -> None:
    phone_number = new_phone_number()
    page = await open_page()
    await buy(page, market, phone_number)
    await type_pin(await pick_up(open_page, market, phone_number), "1234")
    await expect(page.locator("h1")).to_have_text("Payment received", timeout=AT_ONCE)

    elsewhere = await open_page(page.url, viewport=SMALL_PHONE)
    await expect(elsewhere.locator("h1")).to_have_text("Payment received")
    assert phone_number[-6:] not in await elsewhere.content()
