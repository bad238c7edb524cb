"""Pages in a real Chromium with the real script, which stand in for those of pages.py; they live on the run's loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession, Error, async_playwright
from playwright.async_api import Page as Tab

from tests.faults.rig.history import History
from tests.faults.rig.proxy import Network

# Tells each version as it is painted; through the browser's debugger, so the page's content policy is what it is.
OBSERVER = """
addEventListener("DOMContentLoaded", () => {
  const live = document.getElementById("live");
  if (!live) return;
  const tell = () => {
    const { version, status, state } = document.getElementById("payment").dataset;
    noteShown(Number(version), status, state);
  };
  new MutationObserver(tell).observe(live, { subtree: true, childList: true, attributes: true });
  addEventListener("pageshow", tell);
  tell();
});
"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  Object.defineProperty(document, "visibilityState", { get: () => hidden ? "hidden" : "visible", configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
LOADED_WITHIN = 30_000  # milliseconds


class RealPage:
    """One tab; to customers and judge what a Page of pages.py is."""

    def __init__(self, chromium: Chromium, base_url: str, transaction_id: str, history: History) -> None:
        self.chromium, self.history = chromium, history
        self.url, self.name = f"{base_url}/payments/{transaction_id}/", f"tab {transaction_id[:8]}"
        self.document: dict[str, Any] = {}
        self.moments: dict[int, float] = {}
        self.violations: list[str] = []
        self.reasons: set[str] = set()
        self.opened_at = time.monotonic()
        self.tab: Tab | None = None

    @property
    def version(self) -> int:
        return int(self.document.get("version", 0))

    async def live(self) -> None:
        """Be open until cancelled; a page that cannot be loaded is loaded again, as a person would."""
        context = await self.chromium.browser.new_context()
        try:
            await context.expose_function("noteShown", self._show)
            await context.add_init_script(OBSERVER)
            self.tab = await context.new_page()
            self.chromium.pages.append(self)
            while not await self._load():  # noqa: ASYNC110 - nothing tells when the shop is back
                await asyncio.sleep(1)
            await asyncio.Event().wait()
        finally:
            self.chromium.pages = [page for page in self.chromium.pages if page is not self]
            with suppress(Error):
                await context.close()

    async def _load(self) -> bool:
        assert self.tab
        with suppress(Error):
            await self.tab.goto(self.url, timeout=LOADED_WITHIN)
            return bool(await self.tab.locator("#live").count())
        return False

    def come_back(self) -> None:
        """Lose the browser's network for a moment: then the script hears `online`."""
        self.chromium.network.loop.create_task(self._lose_network())

    async def _lose_network(self) -> None:
        if self.tab:
            await self.tab.context.set_offline(True)
            await self.tab.context.set_offline(False)

    async def devtools(self) -> CDPSession:
        assert self.tab
        return await self.tab.context.new_cdp_session(self.tab)

    def _show(self, version: int, status: str, state: str) -> None:
        if not self.moments:
            self.opened_at = time.monotonic()  # before that there was nothing to be right or wrong
        if version < self.version:
            self.violations.append(f"a page showed version {version} after {self.version}")
        if self.document.get("status") == "COMPLETED" != status:
            self.violations.append(f"a page showed paid and then {status}")
        if version <= self.version:
            return
        self.document = {"version": version, "status": status, "state": state}
        self.moments.setdefault(version, time.monotonic())
        self.history.note(self.name, "shown", **self.document)


class Chromium:
    """One browser and the tabs that are open in it."""

    def __init__(self, network: Network, browser: Browser) -> None:
        self.network, self.browser = network, browser
        self.pages: list[RealPage] = []

    def each(self, do: Callable[[Tab, RealPage], Awaitable[Any]]) -> None:
        """Do something with every tab, at the same time; from another thread than the loop's."""
        asyncio.run_coroutine_threadsafe(self._each(do), self.network.loop).result(timeout=60)

    async def _each(self, do: Callable[[Tab, RealPage], Awaitable[Any]]) -> None:
        await asyncio.gather(*(do(page.tab, page) for page in self.pages if page.tab))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process that shows pages, as a phone does with tabs that it has put to sleep."""
        pids = _renderers()
        try:
            _signal(pids, signal.SIGSTOP)
            yield
        finally:
            _signal(pids, signal.SIGCONT)


def _renderers() -> list[int]:
    """Return the processes below this one that show pages."""
    parents: dict[int, int] = {}
    showing: list[int] = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(directory.name)] = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            if b"--type=renderer" in (directory / "cmdline").read_bytes():
                showing.append(int(directory.name))
    return [pid for pid in showing if os.getpid() in _ancestors(pid, parents)]


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def running_chromium(network: Network) -> Iterator[Chromium]:
    """Yield a browser that lives on the network's loop."""
    path = shutil.which("chromium")
    assert path, "chromium is not installed; `sh tools/need.sh` installs what the tests need"

    async def start() -> tuple[Any, Browser]:
        playwright = await async_playwright().start()
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(
            executable_path=path, args=arguments, ignore_default_args=["--disable-back-forward-cache"]
        )
        return playwright, browser

    playwright, browser = asyncio.run_coroutine_threadsafe(start(), network.loop).result(timeout=60)
    try:
        yield Chromium(network, browser)
    finally:
        asyncio.run_coroutine_threadsafe(browser.close(), network.loop).result(timeout=30)
        asyncio.run_coroutine_threadsafe(playwright.stop(), network.loop).result(timeout=30)
