"""How the board calls a person: the title always, a sound and a desktop notice by choice, and not too often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_board import BOARD, live, staff  # noqa: F401 - a fixture
from tests.client import Shop
from tests.conftest import start_payment
from tests.fake_daraja import FakeDaraja
from tests.server import RunningServer

pytestmark = pytest.mark.browser

# A browser without a screen or a loudspeaker says nothing of either; these write down what they are asked for.
INSTRUMENTS = """
window.called = [];
window.permission = "granted";
window.AudioContext = class {
  state = "running";
  currentTime = 0;
  createOscillator() { return { connect: (to) => to, start: () => called.push("beep"), stop() {} }; }
  createGain() {
    return { gain: { setValueAtTime() {}, exponentialRampToValueAtTime() {} }, connect: (to) => to };
  }
};
window.Notification = class {
  static get permission() { return window.permission; }
  static requestPermission = async () => window.permission;
  constructor(title, { body }) { called.push(`${title} / ${body}`); }
};
"""
COUNT = "() => Number(document.getElementById('attention').dataset.count)"
# In one look, for the tests share a server and its findings: more than `before`, and the title says how many.
TITLE_COUNTS = """before => {
  const count = Number(document.getElementById("attention").dataset.count);
  return count > before && document.title.startsWith(`(${count}) `);
}"""


async def open_board(open_page: OpenPage, url: str, staff: dict[str, Any]) -> Page:  # noqa: F811
    page = await open_page(**staff)
    await page.add_init_script(INSTRUMENTS)
    await page.goto(url)
    await live(page)
    return page


async def find_something(page: Page, shop: Shop, daraja: FakeDaraja) -> None:
    """Have a payment arrive with another amount, and wait until the board counts it in its title."""
    before = await page.evaluate(COUNT)
    payment = await asyncio.to_thread(start_payment, shop, daraja)
    await asyncio.to_thread(payment.push.succeed, Amount=1)
    await page.wait_for_function(TITLE_COUNTS, arg=before)


async def called(page: Page) -> list[str]:
    return list(await page.evaluate("() => called"))


async def test_the_title_counts_what_needs_a_person_and_nothing_else_calls_by_itself(
    server: RunningServer,
    shop: Shop,
    daraja: FakeDaraja,
    open_page: OpenPage,
    staff: dict[str, Any],  # noqa: F811
) -> None:
    page = await open_board(open_page, f"{server.base_url}{BOARD}", staff)
    await find_something(page, shop, daraja)
    assert await called(page) == []
    await expect(page.locator("#words")).to_contain_text("Needs attention")


async def test_sound_and_notice_come_once_for_what_is_new_and_again_after_a_rest(
    server: RunningServer,
    shop: Shop,
    daraja: FakeDaraja,
    open_page: OpenPage,
    staff: dict[str, Any],  # noqa: F811
) -> None:
    page = await open_board(open_page, f"{server.base_url}{BOARD}", staff)
    await page.get_by_role("button", name="Sound").click()
    assert await called(page) == ["beep"]  # so that it sounds as it will
    await page.get_by_role("button", name="Notify").click()
    await expect(page.get_by_role("button", name="Notify")).to_have_attribute("aria-pressed", "true")
    await find_something(page, shop, daraja)
    first = await called(page)
    assert (len(first), first[1]) == (3, "beep")
    assert first[2].startswith("Payments need a person / Needs attention")
    await find_something(page, shop, daraja)
    assert await called(page) == first
    await page.evaluate("() => { const now = Date.now; Date.now = () => now() + 11_000; }")
    await find_something(page, shop, daraja)
    assert len(await called(page)) == 5


async def test_the_choice_is_remembered_and_can_be_taken_back(
    server: RunningServer,
    open_page: OpenPage,
    staff: dict[str, Any],  # noqa: F811
) -> None:
    page = await open_board(open_page, f"{server.base_url}{BOARD}", staff)
    for name in ("Sound", "Notify"):
        await page.get_by_role("button", name=name).click()
    await page.reload()
    for name in ("Sound", "Notify"):
        button = page.get_by_role("button", name=name)
        await expect(button).to_have_attribute("aria-pressed", "true")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "false")


async def test_without_the_browsers_leave_no_notice_is_promised(
    server: RunningServer,
    shop: Shop,
    daraja: FakeDaraja,
    open_page: OpenPage,
    staff: dict[str, Any],  # noqa: F811
) -> None:
    page = await open_board(open_page, f"{server.base_url}{BOARD}", staff)
    await page.evaluate("() => { window.permission = 'denied' }")
    button = page.get_by_role("button", name="Notify")
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "false")
    await find_something(page, shop, daraja)
    assert await called(page) == []
