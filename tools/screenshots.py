"""Draw the README's pictures anew: `make screenshots` starts a shop, buys in it, and looks at it with Chromium."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, FrameLocator, Page, ViewportSize, async_playwright

from tests.server import REPOSITORY, running_server
from tools.apng import animate
from tools.buying import DOES_NOT_ANSWER, PAYS, any_number, pay

IMAGES = REPOSITORY / "docs" / "images"
PHONE: ViewportSize = {"width": 360, "height": 760}
DEMO: ViewportSize = {"width": 1280, "height": 780}
SMALLER = 0.56  # the animation's pixels to the demo's
LARGEST = 2_000_000  # bytes of one picture
LONGEST_RACE = 30  # seconds


async def draw(base: str) -> dict[str, bytes]:
    """Return every picture under its file name."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        pictures = {
            "pay.png": await _payment_page(browser, base),
            "receipt.png": await _receipt(browser, base),
            "race.png": await _race(browser, base),
        }
        await browser.close()
        return pictures


async def _payment_page(browser: Browser, base: str) -> bytes:
    """Return the page while it waits, paid and not paid, and in the dark in Swahili, side by side."""
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        (any_number(), "waiting", {}),
        (PAYS, "paid", {}),
        (DOES_NOT_ANSWER, "not_paid", {}),
        (any_number(), "waiting", {"color_scheme": "dark", "locale": "sw"}),
    ]
    shots = []
    for phone_number, state, options in wanted:
        page = await browser.new_page(viewport=PHONE, device_scale_factor=2, **options)
        await page.goto(pay(base, phone_number))
        await page.locator(f'#payment[data-state="{state}"]').wait_for(timeout=30_000)
        await page.wait_for_timeout(600)  # the tick's animation, and the line about the connection
        shots.append(await page.screenshot())
        await page.close()
    return await _side_by_side(browser, shots)


async def _side_by_side(browser: Browser, shots: Sequence[bytes]) -> bytes:
    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}">' for shot in shots)
    style = "body{display:flex;gap:20px;margin:20px;background:#f1ede2}img{width:360px;border-radius:18px}"
    width = len(shots) * (PHONE["width"] + 20) + 20
    page = await browser.new_page(viewport={"width": width, "height": PHONE["height"] + 40})
    await page.set_content(f"<style>{style}</style>{images}")
    picture = await page.screenshot()
    await page.close()
    return picture


async def _receipt(browser: Browser, base: str) -> bytes:
    page = await browser.new_page(viewport={"width": 480, "height": 900})
    await page.goto(pay(base, PAYS))
    await page.get_by_role("link", name="View receipt").click()
    await page.locator(".qr svg").wait_for()
    picture = await page.screenshot(full_page=True)
    await page.close()
    return picture


# The race ---------------------------------------------------------------------------------------------------------


class Film:
    """Screenshots of a page, each shown for as long as it was the newest one."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[tuple[bytes, float]] = []

    async def shoot(self) -> None:
        shot = await self._page.screenshot(animations="allow")
        if not self._frames or self._frames[-1][0] != shot:
            self._frames.append((shot, time.monotonic()))

    def developed(self, *, last: int) -> bytes:
        """Return the animation; `last`: milliseconds for its last frame."""
        moments = [moment for _shot, moment in self._frames]
        lengths = [round(1000 * (after - before)) for before, after in pairwise(moments)]
        return animate([(shot, length) for (shot, _), length in zip(self._frames, [*lengths, last], strict=True)])


async def _race(browser: Browser, base: str) -> bytes:
    """Film one payment in the demo, from the PIN until all four have it."""
    page = await browser.new_page(viewport=DEMO, device_scale_factor=SMALLER)
    await page.goto(f"{base}/demo/")
    await page.locator("#start").click()
    phone, film = page.frame_locator("#phone"), Film(page)
    await page.locator("#pay:enabled").wait_for()
    await phone.locator("#prompt").wait_for()
    await page.wait_for_timeout(1_500)
    await film.shoot()
    await _type_pin(phone, film)
    await _until_all_know(page, film)
    await page.close()
    return film.developed(last=4_000)


async def _type_pin(phone: FrameLocator, film: Film) -> None:
    keypad = phone.get_by_role("group", name="Keypad")
    for digit in "1234":
        await keypad.get_by_role("button", name=digit, exact=True).click()
        await film.shoot()
    await phone.get_by_role("button", name="Send").click()


async def _until_all_know(page: Page, film: Film) -> None:
    """Shoot fast at first, when the fast ones come in, then every half second."""
    began = time.monotonic()
    while await page.locator("tr.done").count() < 4:
        await film.shoot()
        since = time.monotonic() - began
        if since > LONGEST_RACE:
            raise SystemExit("The race has no end.")
        await page.wait_for_timeout(50 if since < 1.2 else 900)
    await page.wait_for_timeout(300)
    await film.shoot()


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="papo-screenshots-") as directory,
        running_server(Path(directory), RATE_LIMITS="off") as server,
    ):
        pictures = asyncio.run(draw(server.base_url))
    IMAGES.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        if len(picture) > LARGEST:
            raise SystemExit(f"{name} would have {len(picture):,} bytes; at most {LARGEST:,} belong into the README.")
        (IMAGES / name).write_bytes(picture)
        print(f"docs/images/{name}: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
