"""The receipt in a real browser, and what the page reports of having shown the end of a payment."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.browser.conftest import CONVERGED, Complaints, OpenPage
from tests.browser.test_payment_page import A_CUT_NETWORK, NO_SOCKETS, address, is_live, pay, says
from tests.conftest import Payment
from tests.server import RunningServer

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("sw", "dark")])
async def test_axe_has_nothing_to_say_and_nothing_scrolls_sideways(
    server, payment, open_page: OpenPage, language: str, scheme: str
):
    await pay(payment)
    look = {"locale": language, "color_scheme": scheme, "viewport": {"width": 320, "height": 640}}
    page = await open_page(f"{address(server, payment)}receipt/", **look)
    await expect(page.locator("html")).to_have_attribute("lang", language)
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 320
    found = await Axe().run(page)
    assert found.violations_count == 0, json.dumps(found.response["violations"], indent=1)


async def test_it_prints_what_matters_and_no_button(server, payment, open_page: OpenPage):
    await pay(payment)
    page = await open_page(f"{address(server, payment)}receipt/")
    await page.emulate_media(media="print")
    for part in (".amount", ".qr svg", "#code", "#address", ".bought"):
        await expect(page.locator(part)).to_be_visible()
    for button in await page.locator("button, a.button").all():
        await expect(button).to_be_hidden()


async def test_it_is_whole_without_a_script(server, payment, open_page: OpenPage):
    await pay(payment)
    page = await open_page(f"{address(server, payment)}receipt/", java_script_enabled=False)
    await expect(page.locator("h1")).to_contain_text("Receipt from")
    await expect(page.locator(".qr svg")).to_be_visible()
    await expect(page.get_by_role("button", name="Save or print")).to_be_hidden()


async def test_its_number_is_copied_and_that_is_said(server, payment, open_page: OpenPage):
    await pay(payment)
    page = await open_page(f"{address(server, payment)}receipt/")
    await page.locator("[data-copy=code]").click()
    await expect(page.locator("#words")).to_have_text("Copied")


def _delivery(server: RunningServer, payment: Payment) -> tuple[Any, ...]:
    path = server.settings["DATABASE_URL"].removeprefix("sqlite:///")
    with sqlite3.connect(path, timeout=20) as database:
        query = (
            "SELECT channel, watched, received_at <= committed_at, committed_at <= sent_at, sent_at <= painted_at "
            "FROM payments_delivery WHERE transaction_id = ?"
        )
        return tuple(database.execute(query, [payment.id.replace("-", "")]).fetchone() or ())


async def _written(server: RunningServer, payment: Payment) -> tuple[Any, ...]:
    """Return the delivery once its page has reported; the notes of half a second are written together."""
    async with asyncio.timeout(10):
        while not (row := await asyncio.to_thread(_delivery, server, payment)) or row[-1] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return row


async def test_a_page_that_shows_the_end_says_so_by_its_socket(server, payment, open_page: OpenPage):
    page = await open_page(address(server, payment))
    await is_live(page)
    await pay(payment)
    await says(page, "Payment received")
    assert await _written(server, payment) == ("socket", 1, 1, 1, 1)


async def test_a_page_that_polled_for_the_end_says_so_too(server, payment, open_page: OpenPage, complaints: Complaints):
    complaints.forgive(*A_CUT_NETWORK)
    page = await open_page()
    await page.add_init_script(NO_SOCKETS)
    await page.goto(address(server, payment))
    await expect(page.locator("html")).to_have_attribute("data-connection", "polling")
    await pay(payment)
    await says(page, "Payment received", within=CONVERGED)
    assert await _written(server, payment) == ("poll", 1, 1, 1, 1)
