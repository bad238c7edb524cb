"""Row 20: what the payment page costs a cold browser, and a minute with it open; bytes over the wire, headers too."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from functools import partial

import requests
from playwright.async_api import Page, Request, async_playwright

from bench.apps import App
from bench.payments import Payment


@dataclass
class Weight:
    """Bytes, as the browser counts them; `idle`: frames and requests of the time it was left alone."""

    requests: list[Request] = field(default_factory=list)
    cold: int = 0
    cold_requests: int = 0
    pushed: int = 0
    idle: int = 0


async def weigh(app: App, *, idle_seconds: float) -> Weight:
    """Return what one page costs: opened with an empty cache, left open for a while, told of its payment."""
    payment = app.take(1)[0]
    url = f"http://127.0.0.1:{app.port}/payments/{payment.socket_path.strip('/').split('/')[2]}/"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page(locale="sw-KE")  # the longer of the two languages
        weight, received, frames = _listen(page)
        await page.goto(url)
        await page.locator('html[data-connection="live"]').wait_for()
        sizes = [await request.sizes() for request in weight.requests]
        weight.cold = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
        weight.cold_requests = len(sizes)
        frames.clear()
        await asyncio.sleep(idle_seconds)
        later = [await request.sizes() for request in weight.requests[len(sizes) :]]
        weight.idle = sum(len(frame.encode()) for frame in frames) + sum(size["responseBodySize"] for size in later)
        received.clear()
        await asyncio.to_thread(_complete, app, payment)
        await page.locator('[data-status="COMPLETED"]').first.wait_for()
        weight.pushed = len(received[0].encode())
        await browser.close()
    return weight


def _complete(app: App, payment: Payment) -> None:
    answer = requests.post(f"http://127.0.0.1:{app.port}{payment.callback_path}", json=payment.body, timeout=20)
    answer.raise_for_status()


def _listen(page: Page) -> tuple[Weight, list[str], list[str]]:
    """Return what is to be weighed, the frames that came, and those of both directions."""
    weight, received, frames = Weight(), [], []
    page.on("requestfinished", lambda request: weight.requests.append(request))
    for event, kept in (("framereceived", [received, frames]), ("framesent", [frames])):
        page.on("websocket", lambda socket, event=event, kept=kept: socket.on(event, partial(_keep, kept)))
    return weight, received, frames


def _keep(lists: list[list[str]], frame: object) -> None:
    for each in lists:
        each.append(str(frame))
