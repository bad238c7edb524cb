"""Row 13: until the words are on the screen of a real Chromium, by three recipes on the same payments at once."""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, Error, Page, async_playwright

from bench.apps import App
from bench.machine import LOAD_CORE, pinned_to
from bench.payments import Payment
from bench.wire import Refused

WARMING = 2  # payments before the first that counts
PATIENCE = 15.0  # seconds after which words count as never
POLL_EVERY = 3.0  # seconds
RECIPES = ("papo", "nudge", "poll")

# The moment after the frame in which the words were painted; the page's clock and ours are one machine's.
OBSERVER = """
window.painted = new Promise((tell) => {
  const look = () => {
    if (document.getElementById("payment")?.dataset.status !== "COMPLETED") return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => tell(Date.now())));
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, attributes: true });
});
"""
# The pages of the other recipes: written into a page of the same origin, where they may do what a page of it may.
BOTH = """
document.body.innerHTML = '<section id="payment"><h1>Waiting</h1></section>';
const look = async () => {
  const { status } = await (await fetch(`/payments/status/?transaction_id=${id}`)).json();
  document.body.dataset.ready = "yes";
  if (status !== "COMPLETED") return;
  document.querySelector("h1").textContent = "Payment received";
  document.getElementById("payment").dataset.status = status;
};
"""
SCRIPTS = {
    # As BTCPay's checkout: whatever the socket says, it means that the state is to be fetched.
    "nudge": "new WebSocket(`ws://${location.host}/ws/payments/${id}/?format=json`).onmessage = look;",
    "poll": f"look(); setInterval(look, {POLL_EVERY * 1000:.0f});",
}


async def words_on_screen(app: App, payments: int, *, seed: int) -> dict[str, list[float]]:
    """Return the milliseconds from a callback's leaving to the words, per recipe; infinite where they never came."""
    chosen = random.Random(seed)
    found: dict[str, list[float]] = {recipe: [] for recipe in RECIPES}
    with pinned_to(LOAD_CORE):
        async with _browser() as context:
            pages = {recipe: await context.new_page() for recipe in RECIPES}
            for number, payment in enumerate(app.take(WARMING + payments)):
                # At any moment between two polls, as people type their PIN.
                taken = await _one_payment(app.port, payment, pages, wait=chosen.uniform(0, POLL_EVERY))
                for recipe in RECIPES:
                    found[recipe] += [taken[recipe]] if number >= WARMING else []
    return found


@asynccontextmanager
async def _browser() -> AsyncIterator[BrowserContext]:
    path = shutil.which("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 360, "height": 740})
        await context.add_init_script(OBSERVER)
        yield context
        await browser.close()


async def _one_payment(port: int, payment: Payment, pages: dict[str, Page], *, wait: float) -> dict[str, float]:
    """Open all three pages of one payment, complete it, and return when each said so."""
    base, transaction_id = f"http://127.0.0.1:{port}", payment.socket_path.strip("/").split("/")[2]
    await pages["papo"].goto(f"{base}/payments/{transaction_id}/")
    await pages["papo"].locator('html[data-connection="live"]').wait_for()
    for recipe, script in SCRIPTS.items():
        await pages[recipe].goto(f"{base}/healthz")
        await pages[recipe].evaluate(f"(id) => {{ {BOTH} {script} }}", transaction_id)
        await pages[recipe].locator('body[data-ready="yes"]').wait_for()
    await asyncio.sleep(wait)
    left_at = await _send(port, payment)
    moments = await asyncio.gather(*(_painted(pages[recipe]) for recipe in RECIPES))
    return {recipe: moment - left_at for recipe, moment in zip(RECIPES, moments, strict=True)}


async def _painted(page: Page) -> float:
    try:
        async with asyncio.timeout(PATIENCE):
            return float(await page.evaluate("() => window.painted"))
    except (TimeoutError, Error):
        return math.inf


async def _send(port: int, payment: Payment) -> float:
    """Post the callback; return when it left, in milliseconds as a page's Date.now() counts them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    left_at = time.time() * 1000
    writer.write(payment.request(port))
    answer = await reader.readline()
    writer.close()
    if b" 200 " not in answer:
        raise Refused(answer.decode(errors="replace"))
    return left_at
