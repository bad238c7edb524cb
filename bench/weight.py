"""Row 20: what the payment page costs a cold browser, and a minute with it open; bytes over the wire, headers too."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field

from playwright.async_api import Page, Request, async_playwright

from bench.apps import App


@dataclass
class Weight:
    """Bytes, as the browser counts them; `idle`: frames and requests of the time it was left alone."""

    requests: list[Request] = field(default_factory=list)
    cold: int = 0
    cold_requests: int = 0
    pushed: int = 0
    idle: int = 0


async def weigh(app: App, *, idle_seconds: float) -> Weight:
    """Return what one page costs: opened with an empty cache, told of its payment, left open for a while."""
    payment = app.take(1)[0]
    url = f"http://127.0.0.1:{app.port}/payments/{payment.socket_path.strip('/').split('/')[2]}/"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page(locale="sw-KE")  # the longer of the two languages
        weight, frames = _listen(page)
        await page.goto(url)
        await page.locator('html[data-connection="live"]').wait_for()
        sizes = [await request.sizes() for request in weight.requests]
        weight.cold = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
        weight.cold_requests = len(sizes)
        weight.pushed = len(frames[0].encode())
        frames.clear()
        await asyncio.sleep(idle_seconds)
        later = [await request.sizes() for request in weight.requests[len(sizes) :]]
        weight.idle = sum(len(frame.encode()) for frame in frames) + sum(size["responseBodySize"] for size in later)
        await browser.close()
    return weight


def _listen(page: Page) -> tuple[Weight, list[str]]:
    weight, frames = Weight(), []
    page.on("requestfinished", lambda request: weight.requests.append(request))
    for event in ("framereceived", "framesent"):
        page.on("websocket", lambda socket, event=event: socket.on(event, lambda frame: frames.append(str(frame))))
    return weight, frames
