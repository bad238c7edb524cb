"""The shop in a real browser: it works without JavaScript, on a small phone, and for people who see or hear it."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.conftest import Complaints, OpenPage
from tests.client import new_phone_number

pytestmark = pytest.mark.browser

SMALL_PHONE = {"width": 320, "height": 640}


async def fill_the_basket(page: Page, base_url: str) -> None:
    await page.goto(base_url)
    for sku in ("unga-2kg", "kiondo", "unga-2kg"):
        await page.locator(f"#{sku} button").click()
    await page.get_by_role("link", name="View basket").click()


async def place_an_order(page: Page, base_url: str) -> None:
    await fill_the_basket(page, base_url)
    await page.get_by_label("Your name").fill("Wanjiku")
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page).to_have_url(re.compile(r"/orders/[0-9a-f-]{36}/$"))


async def test_a_customer_without_javascript_buys(server, daraja, open_page: OpenPage):
    page = await open_page(java_script_enabled=False)
    await place_an_order(page, server.base_url)
    await expect(page.get_by_role("main")).to_contain_text("2,770")
    await page.get_by_label("M-PESA phone number").fill(new_phone_number())
    await page.get_by_role("button", name="Pay KES 2,770 with M-PESA").click()
    await expect(page).to_have_url(re.compile("/payments/"))
    await expect(page.locator("h1")).to_have_text("Check your phone")


async def test_the_basket_counts_down_and_up(server, open_page: OpenPage):
    page = await open_page(java_script_enabled=False)
    await fill_the_basket(page, server.base_url)
    await page.get_by_role("button", name="One Maize flour less").click()
    await page.get_by_role("button", name="One more Kiondo basket").click()
    await page.get_by_role("button", name="Remove Maize flour").click()
    await expect(page.get_by_role("list").filter(has_text="each")).to_contain_text("4,800")
    await expect(page.get_by_role("link", name="Basket 2 items")).to_be_visible()


async def test_the_order_page_takes_its_forms_back(server, open_page: OpenPage):
    """It sends no referrer, so a browser could say `Origin: null` with them, which the CSRF check refuses."""
    page = await open_page(java_script_enabled=False)
    await place_an_order(page, server.base_url)
    address = page.url
    await page.get_by_role("button", name="Kiswahili").click()
    await expect(page.locator("html")).to_have_attribute("lang", "sw")
    await page.get_by_role("button", name="English").click()
    await page.get_by_role("button", name="Cancel this order").click()
    await expect(page.locator("h1")).to_have_text("This order was cancelled")
    assert page.url == address


async def test_back_after_ordering_does_not_order_again(server, open_page: OpenPage):
    page = await open_page()
    await place_an_order(page, server.base_url)
    address = page.url
    await page.evaluate("() => { setTimeout(() => history.back(), 10) }")
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page).to_have_url(address)


async def every_page(page: Page, base_url: str) -> list[str]:
    """Visit every page of the shop once, in every state that looks different; yield after each."""
    await place_an_order(page, base_url)
    order = page.url
    await page.get_by_role("button", name="Cancel this order").click()
    cancelled = page.url
    await place_an_order(page, base_url)
    order = page.url
    await fill_the_basket(page, base_url)
    return [f"{base_url}/", f"{base_url}/cart/", order, cancelled, f"{base_url}/nowhere/"]


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_every_page_fits_a_small_phone_and_breaks_no_rule_of_accessibility(
    server, open_page: OpenPage, complaints: Complaints, colours: str
):
    complaints.forgive("404 (Not Found)")
    page = await open_page(viewport=SMALL_PHONE, color_scheme=colours, reduced_motion="reduce")
    for address in await every_page(page, server.base_url):
        await page.goto(address)
        assert await page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE["width"], address
        found = await Axe().run(page)
        assert found.violations_count == 0, f"{address}: {found.generate_report()}"


async def test_every_picture_of_the_shelf_arrives(server, open_page: OpenPage):
    page = await open_page(server.base_url)
    for picture in await page.locator(".product img").all():
        await picture.scroll_into_view_if_needed()
        await expect(picture).to_have_js_property("complete", True)
        assert await picture.evaluate("image => image.naturalWidth") > 0
