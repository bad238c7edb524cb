"""The demo in a real browser: real pages in frames, a race that is measured, and a network that can be hurt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import FrameLocator, Page, expect

from tests.browser.conftest import CONVERGED, Complaints, OpenPage
from tests.server import RunningServer, running_server

pytestmark = pytest.mark.browser

WIDE = {"width": 1340, "height": 900}
LANES = ("page", "socket", "fast", "slow")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("demo"), RATE_LIMITS="off") as server:
        yield server


async def start(open_page: OpenPage, market: RunningServer) -> tuple[Page, FrameLocator]:
    """Open the demo, have it start a payment, and return it with the shop's frame once that listens."""
    page = await open_page(f"{market.base_url}/demo/", viewport=WIDE)
    shop = page.frame_locator("#shop")
    await expect(shop.locator("h1")).to_have_text("Good things, paid by phone")
    await page.get_by_role("button", name="Start a payment").click()
    await expect(shop.locator("h1")).to_have_text("Check your phone")
    await expect(page.locator("#pay")).to_be_enabled()
    return page, shop


async def is_connected(shop: FrameLocator, state: str) -> None:
    await expect(shop.locator("html")).to_have_attribute("data-connection", state, timeout=CONVERGED)


async def test_four_watch_one_payment_and_each_is_timed(market: RunningServer, open_page: OpenPage) -> None:
    page, shop = await start(open_page, market)
    await is_connected(shop, "live")
    phone = page.frame_locator("#phone")
    for digit in "1234":
        await phone.get_by_role("group", name="Keypad").get_by_role("button", name=digit, exact=True).click()
    await phone.get_by_role("button", name="Send").click()
    await expect(shop.locator("h1")).to_have_text("Payment received")
    await expect(page.get_by_text("Averages over 1 payment.")).to_be_visible(timeout=15_000)
    requests = {lane: int(await page.locator(f"#lane-{lane} .requests").inner_text()) for lane in LANES}
    assert (requests["page"], requests["socket"]) == (1, 1)
    assert requests["fast"] >= requests["slow"] >= 2
    for lane in LANES:
        assert re.fullmatch(r"\d+ ms|\d+\.\d s", await page.locator(f"#lane-{lane} .delay").inner_text())


async def test_a_killed_socket_and_ten_seconds_offline_end_well(market: RunningServer, open_page: OpenPage) -> None:
    page, shop = await start(open_page, market)
    await is_connected(shop, "live")
    await page.get_by_role("button", name="Kill the socket").click()
    await expect(page.locator("#network-words")).to_contain_text("was killed")
    await is_connected(shop, "reconnecting")
    await is_connected(shop, "live")
    await page.get_by_role("button", name="Offline for 10 s").click()
    await is_connected(shop, "offline")
    await page.locator("#pay").click()
    await expect(shop.locator("h1")).to_have_text("Check your phone")
    await expect(page.locator("#lane-socket")).to_have_class("done")
    await expect(shop.locator("h1")).to_have_text("Payment received", timeout=10_000 + CONVERGED)


async def test_with_sockets_blocked_the_framed_page_polls(
    market: RunningServer, open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.forgive("htmx:ws:error")
    page, shop = await start(open_page, market)
    await page.get_by_role("button", name="Block sockets").click()
    await is_connected(shop, "polling")
    await page.locator("#pay").click()
    await expect(shop.locator("h1")).to_have_text("Payment received", timeout=CONVERGED)


async def test_a_plan_of_the_menus_meets_the_next_payment(market: RunningServer, open_page: OpenPage) -> None:
    page = await open_page(f"{market.base_url}/demo/", viewport=WIDE)
    shop = page.frame_locator("#shop")
    async with page.expect_response("**/simulator/api/default/"):
        await page.get_by_label("The customer", exact=True).select_option("cancelled")
    await page.get_by_role("button", name="Start a payment").click()
    await expect(shop.locator("h1")).to_have_text("You cancelled on your phone")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_has_nothing_to_say_about_the_demo(market: RunningServer, open_page: OpenPage, scheme: str) -> None:
    page = await open_page(f"{market.base_url}/demo/", viewport=WIDE, color_scheme=scheme)
    await expect(page.frame_locator("#shop").locator("h1")).to_be_visible()
    found = await Axe().run(page, options={"iframes": False})
    assert found.violations_count == 0, json.dumps(found.response["violations"], indent=1)


async def test_the_demo_can_be_read_in_swahili(market: RunningServer, open_page: OpenPage) -> None:
    page = await open_page(f"{market.base_url}/demo/", viewport=WIDE)
    await page.get_by_role("banner").get_by_role("button", name="Kiswahili").click()
    shop = page.frame_locator("#shop")
    await page.get_by_role("button", name="Anzisha malipo").click()
    await expect(shop.locator("h1")).to_have_text("Angalia simu yako")
    await expect(page.locator("#race-words")).to_have_text(
        "Njia nne zinafuatilia. Weka tarakimu zozote nne kwenye simu."
    )
    await page.locator("#block").click()
    await expect(page.locator("#network-words")).to_have_text("Miunganisho imezuiwa; ukurasa unauliza wenyewe.")


@pytest.mark.parametrize("locale", ["en", "sw"])
async def test_the_demo_fits_every_screen(market: RunningServer, open_page: OpenPage, locale: str) -> None:
    page = await open_page(f"{market.base_url}/demo/", viewport=WIDE, locale=locale)
    for width in (360, 500, 740, 1024, 1280, 1440):
        await page.set_viewport_size({"width": width, "height": 740})
        assert await page.evaluate("() => document.documentElement.scrollWidth") == width
