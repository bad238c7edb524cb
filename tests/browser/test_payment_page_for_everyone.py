"""The receipt for everybody, and the order of a keyboard; the rest stands in test_every_state.py."""

from __future__ import annotations

import asyncio
import json

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import Payment
from tests.server import RunningServer

pytestmark = pytest.mark.browser

PAID, CANCELLED = 0, 1032
OUTCOMES = {None: "Check your phone", PAID: "Payment received", CANCELLED: "You cancelled on your phone"}


async def open_payment(open_page: OpenPage, server: RunningServer, payment: Payment, code: int | None, **look) -> Page:
    page = await open_page(f"{server.base_url}/payments/{payment.id}/", **look)
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    if code is not None:
        await asyncio.to_thread(payment.push.post, payment.push.callback(code=code, description="As told."))
    await expect(page.locator("h1")).to_have_text(OUTCOMES[code])
    return page


async def test_axe_has_nothing_to_say_about_the_receipt(server, payment, open_page: OpenPage):
    page = await open_payment(open_page, server, payment, PAID)
    await page.get_by_role("link", name="View receipt").click()
    await expect(page.locator("h1")).to_contain_text("Receipt from")
    found = await Axe().run(page)
    assert found.violations_count == 0, json.dumps(found.response["violations"], indent=1)


async def test_a_keyboard_reaches_every_control_in_reading_order(server, payment, open_page: OpenPage):
    page = await open_payment(open_page, server, payment, CANCELLED)
    await page.evaluate("() => document.activeElement.blur()")
    reached = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("() => document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the content"
    assert reached.index("Kiswahili") < reached.index("Try again") < reached.index("Back to the order")
