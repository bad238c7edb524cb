"""A real Chromium, driven through Playwright's async API: its sync one and pytest-asyncio break each other."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, async_playwright, expect

from tests.browser.states import Stage
from tests.client import Shop
from tests.fake_daraja import FakeDaraja
from tests.server import RunningServer

OpenPage = Callable[..., Awaitable[Page]]
NO_SANDBOX = "--no-sandbox"  # Chromium as root refuses to start otherwise
PATIENCE = 10_000  # milliseconds
AT_ONCE = 10_000  # milliseconds: sooner than a heartbeat, and a live page does not poll, so it was pushed
CONVERGED = 15_000  # milliseconds; promised are five, which `make faults` measures: a browser may wait for its turn
expect.set_options(timeout=15_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is not installed; `sh tools/need.sh` installs what the tests need"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=[NO_SANDBOX, "--disable-dev-shm-usage"],
            ignore_default_args=["--disable-back-forward-cache"],  # people use Back; the page must survive it
        )
        yield browser
        await browser.close()


class Complaints:
    """What browsers wrote to their consoles, and what scripts threw; a test that expects some forgives them."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        # A page that is left while its socket is still opening; nothing of ours is wrong.
        self.forgiven = ["WebSocket is closed before the connection is established"]

    def forgive(self, *parts: str) -> None:
        """Let messages pass that contain one of `parts`."""
        self.forgiven.extend(parts)

    def listen_to(self, context: BrowserContext) -> None:
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.heard.append(f"{error.error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.heard.append(f"{message.type}: {message.text}")

    @property
    def unforgiven(self) -> list[str]:
        return [text for text in self.heard if not any(part in text for part in self.forgiven)]


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, complaints: Complaints) -> AsyncIterator[OpenPage]:
    """Open pages in contexts of their own: `await open_page(url, viewport=…)`.

    The test fails when a page broke the content policy, threw, or complained in its console.
    """
    contexts: list[BrowserContext] = []

    async def open_page(url: str = "", **options: Any) -> Page:
        context = await browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        complaints.listen_to(context)
        contexts.append(context)
        page = await context.new_page()
        if url:
            await page.goto(url)
        return page

    yield open_page
    for context in contexts:
        with contextlib.suppress(Error):  # the test closed it
            await context.close()
    assert complaints.unforgiven == []


@pytest.fixture
def stage(server: RunningServer, shop: Shop, daraja: FakeDaraja) -> Stage:
    return Stage(server, shop, daraja)
