"""Every state of a payment, in both languages, light and dark: it says what it is, to everybody, at any size."""

from __future__ import annotations

import asyncio
import json

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Request, expect

from tests.browser.conftest import OpenPage
from tests.browser.states import STATES, Stage, State

pytestmark = pytest.mark.browser

NARROW = {"width": 320, "height": 640}
THUMB = 44  # pixels
COLD_PAGE = 30 * 1024  # bytes over the wire
PUSH = 1536  # bytes
LOOKS = [
    ("en-KE", "light"),
    ("sw-KE", "dark"),
    pytest.param("en-KE", "dark", marks=pytest.mark.long),
    pytest.param("sw-KE", "light", marks=pytest.mark.long),
]


async def address(stage: Stage, state: State) -> str:
    payment = await asyncio.to_thread(state.make, stage)
    return f"{stage.server.base_url}/payments/{payment.id}/{state.query}"


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
async def test_it_reads_well_for_everybody(stage: Stage, open_page: OpenPage, locale: str, scheme: str):
    page = await open_page(locale=locale, color_scheme=scheme, reduced_motion="reduce", viewport=NARROW)
    for name, state in STATES.items():
        await page.goto(await address(stage, state))
        heading = await page.locator("h1").inner_text()
        assert (heading == state.heading) is locale.startswith("en"), name
        await nothing_for_axe(page, name)
        await fits(page, name)
        await suits_a_thumb(page, name)
        await page.reload()
        await expect(page.locator("h1")).to_have_text(heading)


async def nothing_for_axe(page: Page, name: str) -> None:
    for details in await page.locator("details:visible").all():
        await details.evaluate("element => { element.open = true }")
    found = await Axe().run(page)
    assert found.violations_count == 0, f"{name}: {json.dumps(found.response['violations'], indent=1)}"


async def fits(page: Page, name: str) -> None:
    """No scrolling sideways at 320 pixels, neither as it is nor with letters twice as large."""
    for size in ("200%", "100%"):
        await page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        assert await page.evaluate("() => document.documentElement.scrollWidth") == NARROW["width"], (name, size)


async def suits_a_thumb(page: Page, name: str) -> None:
    for control in await page.locator("a:visible:not(.skip), button:visible, summary:visible, input:visible").all():
        box = await control.bounding_box()
        assert box, name
        assert box["height"] >= THUMB, (name, await control.text_content())


@pytest.mark.parametrize("locale", ["sw-KE", pytest.param("en-KE", marks=pytest.mark.long)])
async def test_it_is_light_to_open_and_light_to_push(stage: Stage, open_page: OpenPage, locale: str):
    """Cold in every state: bytes with their headers, requests, and the largest message over the socket."""
    for name, state in STATES.items():
        page = await open_page(locale=locale)
        requests, frames = heard_by(page)
        await page.goto(await address(stage, state))
        await expect(page.locator("html")).to_have_attribute("data-connection", "live")
        sizes = [await request.sizes() for request in requests]
        assert len(requests) <= 4, (name, [request.url for request in requests])
        assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) <= COLD_PAGE, name
        assert 0 < max(len(frame.encode()) for frame in frames) <= PUSH, name
        await page.context.close()


def heard_by(page: Page) -> tuple[list[Request], list[str]]:
    """Return lists that fill with the requests a page ends and the messages its socket brings."""
    requests: list[Request] = []
    frames: list[str] = []
    page.on("requestfinished", lambda request: requests.append(request))
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))))
    return requests, frames


async def test_without_javascript_every_state_says_the_same(stage: Stage, open_page: OpenPage):
    page = await open_page(java_script_enabled=False)
    for name, state in STATES.items():
        await page.goto(await address(stage, state))
        assert await page.locator("h1").inner_text() == state.heading, name
        final = await page.locator("#payment").get_attribute("data-final") == "true"
        shows_button_later = await page.locator("button[disabled]").count()
        assert await page.locator("meta[http-equiv=refresh]").count() == (not final or shows_button_later > 0), name
