"""The payment page for people who see it large, dark, without motion or not at all, and on little data."""

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
COLD_PAGE = 30 * 1024  # bytes over the wire
PUSH = 1536  # bytes


async def open_payment(open_page: OpenPage, server: RunningServer, payment: Payment, code: int | None, **look) -> Page:
    page = await open_page(f"{server.base_url}/payments/{payment.id}/", **look)
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    if code is not None:
        await asyncio.to_thread(payment.push.post, payment.push.callback(code=code, description="As told."))
    await expect(page.locator("h1")).to_have_text(OUTCOMES[code])
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("code", OUTCOMES)
async def test_axe_has_nothing_to_say(server, payment, open_page: OpenPage, code, scheme):
    page = await open_payment(open_page, server, payment, code, color_scheme=scheme, reduced_motion="reduce")
    found = await Axe().run(page)
    assert found.violations_count == 0, json.dumps(found.response["violations"], indent=1)


async def test_axe_has_nothing_to_say_about_the_receipt(server, payment, open_page: OpenPage):
    page = await open_payment(open_page, server, payment, PAID)
    await page.get_by_role("link", name="View receipt").click()
    await expect(page.locator("h1")).to_contain_text("Receipt from")
    found = await Axe().run(page)
    assert found.violations_count == 0, json.dumps(found.response["violations"], indent=1)


@pytest.mark.parametrize("code", OUTCOMES)
async def test_nothing_needs_scrolling_sideways(server, payment, open_page: OpenPage, code):
    page = await open_payment(open_page, server, payment, code, viewport={"width": 320, "height": 640})
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 320
    await page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 320


async def test_every_control_is_large_enough_for_a_thumb(server, payment, open_page: OpenPage):
    page = await open_payment(open_page, server, payment, PAID, viewport={"width": 360, "height": 740})
    for control in await page.locator("a:visible:not(.skip), button:visible, summary:visible").all():
        box = await control.bounding_box()
        assert box is not None
        assert box["height"] >= 44, await control.text_content()


async def test_a_keyboard_reaches_every_control_in_reading_order(server, payment, open_page: OpenPage):
    page = await open_payment(open_page, server, payment, CANCELLED)
    await page.evaluate("() => document.activeElement.blur()")
    reached = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("() => document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the content"
    assert reached.index("Kiswahili") < reached.index("Try again") < reached.index("Back to the order")


async def test_the_cold_page_is_light(server, payment, open_page: OpenPage):
    page = await open_page()
    requests = []
    page.on("requestfinished", lambda request: requests.append(request))
    await page.goto(f"{server.base_url}/payments/{payment.id}/")
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    sizes = [await request.sizes() for request in requests]
    assert len(requests) <= 4, [request.url for request in requests]
    assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) <= COLD_PAGE


@pytest.mark.parametrize("code", OUTCOMES)
async def test_a_push_is_light(server, payment, open_page: OpenPage, code):
    frames: list[str] = []
    page = await open_page()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    await page.goto(f"{server.base_url}/payments/{payment.id}/")
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    if code is not None:
        await asyncio.to_thread(payment.push.post, payment.push.callback(code=code, description="As told."))
        await expect(page.locator("h1")).to_have_text(OUTCOMES[code])
    assert frames
    assert max(len(frame.encode()) for frame in frames) <= PUSH
