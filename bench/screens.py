"""Row 13: until the words are on the screen of a real Chromium, by three recipes at once and by a fourth beside."""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import BrowserContext, Error, Page, async_playwright

from bench.apps import App, naive_app, papo_app, two
from bench.figures import Line, Target, percentile
from bench.machine import LOAD_CORE, pinned_to
from bench.payments import Payment
from bench.rows import Plan, Row
from bench.wire import Refused

WARMING = 2  # payments before the first that counts
PATIENCE = 15.0  # seconds after which words count as never
POLL_EVERY = 3.0  # seconds
RECIPES = ("papo", "nudge", "poll", "events")

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
ALL = """
document.body.innerHTML = '<section id="payment"><h1>Waiting</h1></section>';
const show = (status) => {
  document.body.dataset.ready = "yes";
  if (status !== "COMPLETED") return;
  document.querySelector("h1").textContent = "Payment received";
  document.getElementById("payment").dataset.status = status;
};
const look = async () => show((await (await fetch(`/payments/status/?transaction_id=${id}`)).json()).status);
"""
SCRIPTS = {
    # As BTCPay's checkout: whatever the socket says, it means that the state is to be fetched.
    "nudge": "new WebSocket(`ws://${location.host}/ws/payments/${id}/?format=json`).onmessage = look;",
    # What the naive shop streams. It has no word for the page but this one.
    "events": "new EventSource(`/events/${id}/`).onmessage = (event) => show(JSON.parse(event.data).status);",
    "poll": f"look(); setInterval(look, {POLL_EVERY * 1000:.0f});",
}


def on_screen(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Measure the words on the screen of a real browser, and by other recipes in the naive column."""
    with two(papo_app, naive_app, directory, services, payments=WARMING + plan.screens) as (papo, naive):
        taken = asyncio.run(words_on_screen(papo, naive, plan.screens, seed=13))
    figure, target = f"callback → words on the screen, of {plan.screens}", Target(must=100, goal=50, unit=" ms")
    p50, p95 = ({recipe: percentile(taken[recipe], share) for recipe in RECIPES} for share in (0.5, 0.95))
    others = {
        "nudge": "a socket's nudge, then a fetch, as BTCPay does",
        "events": "server-sent events of the naive shop",
    }
    lines = [
        Line(13, f"{figure}, p50; naive: polling every {POLL_EVERY:g} s", "ms", p50["papo"], naive=p50["poll"]),
        Line(13, "  the same, p95", "ms", p95["papo"], naive=p95["poll"], target=target),
    ]
    for recipe, words in others.items():
        lines.append(Line(13, f"  naive: {words}; p50", "ms", None, naive=p50[recipe]))
        lines.append(Line(13, "  the same, p95", "ms", None, naive=p95[recipe]))
    return lines


async def words_on_screen(papo: App, naive: App, payments: int, *, seed: int) -> dict[str, list[float]]:
    """Return the milliseconds from a callback's leaving to the words, per recipe; infinite where they never came."""
    chosen = random.Random(seed)
    found: dict[str, list[float]] = {recipe: [] for recipe in RECIPES}
    with pinned_to(LOAD_CORE):
        async with _browser() as windows:
            pages = {recipe: await (await windows()).new_page() for recipe in RECIPES}
            both = zip(papo.take(WARMING + payments), naive.take(WARMING + payments), strict=True)
            for number, (payment, other) in enumerate(both):
                # At any moment between two polls, as people type their PIN.
                wait = chosen.uniform(0, POLL_EVERY)
                taken = await _one_payment(papo.port, payment, pages, wait=wait, beside=(naive.port, other))
                for recipe in RECIPES:
                    found[recipe] += [taken[recipe]] if number >= WARMING else []
    return found


@asynccontextmanager
async def _browser() -> AsyncIterator[Callable[[], Awaitable[BrowserContext]]]:
    """Give a function that opens a window: a tab behind another one is painted up to a second late, whatever it is."""
    path = shutil.which("chromium")

    async def window() -> BrowserContext:
        context = await browser.new_context(viewport={"width": 360, "height": 740})
        await context.add_init_script(OBSERVER)
        return context

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield window
        await browser.close()


async def _one_payment(
    port: int, payment: Payment, pages: dict[str, Page], *, wait: float, beside: tuple[int, Payment]
) -> dict[str, float]:
    """Open all three pages of one payment, complete it, and return after how long each said so.

    `beside`: the naive shop's, which takes its turn while nothing but the polling page is still waiting.
    """
    base, transaction_id = f"http://127.0.0.1:{port}", _id_of(payment)
    await pages["papo"].goto(f"{base}/payments/{transaction_id}/")
    await pages["papo"].locator('html[data-connection="live"]').wait_for()
    for recipe in ("nudge", "poll"):
        await _open(pages[recipe], recipe, f"{base}/healthz", transaction_id)
    await asyncio.sleep(wait)
    left_at = await _send(port, payment)
    papo, nudge = await asyncio.gather(*(_painted(pages[recipe]) for recipe in ("papo", "nudge")))
    poll, events = await asyncio.gather(_painted(pages["poll"]), _by_events(pages["events"], *beside))
    return {"papo": papo - left_at, "nudge": nudge - left_at, "poll": poll - left_at, "events": events}


async def _by_events(page: Page, port: int, payment: Payment) -> float:
    """Return after how many milliseconds a page that listens to server-sent events said so."""
    transaction_id = _id_of(payment)
    await _open(page, "events", f"http://127.0.0.1:{port}/status/{transaction_id}/", transaction_id)
    left_at = await _send(port, payment)
    return await _painted(page) - left_at


def _id_of(payment: Payment) -> str:
    return payment.socket_path.strip("/").split("/")[2]


async def _open(page: Page, recipe: str, url: str, transaction_id: str) -> None:
    await page.goto(url)
    await page.evaluate(f"(id) => {{ {ALL} {SCRIPTS[recipe]} }}", transaction_id)
    await page.locator('body[data-ready="yes"]').wait_for()


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


ROWS: dict[int, Row] = {13: on_screen}
