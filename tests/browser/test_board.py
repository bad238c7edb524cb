"""The live board in a real browser: it moves by itself, stands still when somebody works in it, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.conftest import AT_ONCE, Complaints, OpenPage
from tests.client import Shop
from tests.conftest import Payment, start_payment
from tests.fake_daraja import FakeDaraja
from tests.server import REPOSITORY, RunningServer, running_server

pytestmark = pytest.mark.browser

BOARD = "/admin/payments/live/"
NOTHING_IS_CLIPPED = "() => [...document.querySelectorAll('.scroll')].every((it) => it.scrollWidth <= it.clientWidth)"
NO_SOCKET = (
    "window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({ code: 1006 })); } close() {} }"
)


def login_of(server: RunningServer) -> tuple[str, str]:
    give_up = time.monotonic() + 30
    while not (found := re.search(r"^Staff login: (\S+) / (\S+)$", server.output, re.MULTILINE)):
        assert time.monotonic() < give_up, server.output
        time.sleep(0.05)
    return found[1], found[2]


async def log_in(page: Page, server: RunningServer, *login: str) -> None:
    name, password = login or login_of(server)
    await page.goto(f"{server.base_url}/admin/login/?next={BOARD}")
    await page.fill("#id_username", name)
    await page.fill("#id_password", password)
    await page.click("[type=submit]")
    await expect(page).to_have_url(f"{server.base_url}{BOARD}")


@pytest_asyncio.fixture(loop_scope="session")
async def staff(server: RunningServer, open_page: OpenPage) -> dict[str, Any]:
    """What makes the next page one of somebody who has logged in: `await open_page(url, **staff)`."""
    page = await open_page()
    await log_in(page, server)
    return {"storage_state": await page.context.storage_state()}


async def live(page: Page) -> None:
    await expect(page.locator("#board")).to_have_attribute("data-connection", "live")


def row_of(page: Page, payment: Payment) -> Any:
    return page.locator(f"#p-{payment.id}")


async def test_a_row_appears_and_turns_paid_without_a_reload(
    server: RunningServer, shop: Shop, daraja: FakeDaraja, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{BOARD}", **staff)
    await live(page)
    await page.evaluate("() => { window.marked = true }")
    payment = await asyncio.to_thread(start_payment, shop, daraja)
    await expect(row_of(page, payment)).to_contain_text("Waiting", timeout=AT_ONCE)
    paid_before = await page.locator("#kpis li:nth-child(2) .big").inner_text()
    await asyncio.to_thread(payment.push.succeed)
    await expect(row_of(page, payment)).to_contain_text("Paid", timeout=AT_ONCE)
    await expect(page.locator("#kpis li:nth-child(2) .big")).not_to_have_text(paid_before)
    assert await page.evaluate("() => window.marked")


async def test_the_row_says_when_the_customer_saw_it_without_another_change(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    board = await open_page(f"{server.base_url}{BOARD}", **staff)
    await live(board)
    await open_page(f"{server.base_url}/payments/{payment.id}/")
    await asyncio.to_thread(payment.push.succeed)
    await expect(row_of(board, payment).locator(".seen")).to_have_text(re.compile(r"^\d+\.\d\d s$"))


async def test_a_filter_stays_true_for_what_moves(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{BOARD}?status=PENDING", **staff)
    await live(page)
    await expect(row_of(page, payment)).to_be_visible()
    await asyncio.to_thread(payment.push.succeed)
    await expect(row_of(page, payment)).to_have_count(0, timeout=AT_ONCE)


async def test_the_list_stands_still_while_it_is_paused_and_says_what_is_new(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{BOARD}", **staff)
    await live(page)
    await page.keyboard.press("p")
    await asyncio.to_thread(payment.push.succeed)
    await expect(page.locator("#more")).to_have_text("1 new")
    await expect(row_of(page, payment)).to_contain_text("Waiting")
    await page.keyboard.press("p")
    await expect(row_of(page, payment)).to_contain_text("Paid")
    await expect(page.locator("#more")).to_be_hidden()


async def test_pointing_at_the_list_holds_it(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{BOARD}", **staff)
    await live(page)
    await row_of(page, payment).hover()
    await asyncio.to_thread(payment.push.succeed)
    await expect(page.locator("#more")).to_have_text("1 new")
    await page.mouse.move(5, 5)
    await expect(row_of(page, payment)).to_contain_text("Paid")


async def test_the_keyboard_reaches_search_rows_and_help(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{BOARD}", **staff)
    await live(page)
    await page.keyboard.press("j")
    await expect(page.locator("#feed tr:first-child a.code")).to_be_focused()
    focused = await page.evaluate("() => document.activeElement.closest('tr').id")
    assert focused == f"p-{payment.id}"
    await asyncio.to_thread(payment.push.succeed)
    await expect(row_of(page, payment)).to_contain_text("Paid")
    assert await page.evaluate("() => document.activeElement.closest('tr')?.id") == focused
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.locator("#q")).to_be_focused()


async def test_without_sockets_the_page_polls(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(**staff)
    await page.add_init_script(NO_SOCKET)
    await page.goto(f"{server.base_url}{BOARD}")
    await expect(page.locator("#board")).to_have_attribute("data-connection", "polling")
    await asyncio.to_thread(payment.push.succeed)
    await expect(row_of(page, payment)).to_contain_text("Paid")


async def test_without_a_script_the_page_is_whole(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    await asyncio.to_thread(payment.push.succeed)
    page = await open_page(f"{server.base_url}{BOARD}?q={payment.order_id}", java_script_enabled=False, **staff)
    await expect(row_of(page, payment)).to_contain_text("Paid")
    await expect(page.locator("#kpis")).to_contain_text("Collected today")
    await expect(page.get_by_role("button", name="Pause")).to_be_hidden()


async def test_a_wall_shows_figures_and_nobody(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{BOARD}?wall=1", **staff)
    await live(page)
    await expect(page.locator("#kpis")).to_contain_text("Waiting now")
    words = await page.locator("#board").inner_text()
    assert "•" not in words
    assert await page.locator("#feed, #attention").count() == 0


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 360, "height": 740}])
@pytest.mark.parametrize(
    ("scheme", "locale", "differs"), [("light", "en", "Amount differs"), ("dark", "sw", "Kiasi kinatofautiana")]
)
async def test_axe_has_nothing_to_say_about_the_board(
    server: RunningServer,
    payment: Payment,
    open_page: OpenPage,
    staff: dict[str, Any],
    viewport: Any,
    scheme: str,
    locale: str,
    differs: str,
) -> None:
    await asyncio.to_thread(payment.push.succeed, Amount=1)  # another amount: something needs attention
    look = {"viewport": viewport, "color_scheme": scheme, "locale": locale}
    page = await open_page(f"{server.base_url}{BOARD}", **look, **staff)
    await live(page)
    await expect(page.locator("#attention")).to_contain_text(differs)
    await page.locator("#board details").evaluate_all("all => all.forEach((one) => { one.open = true })")
    found = await Axe().run(page, context={"include": [["#board"]]})
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(NOTHING_IS_CLIPPED)


async def test_on_a_phone_counts_and_alarms_come_first_and_a_payment_takes_two_lines(
    server: RunningServer, payment: Payment, open_page: OpenPage, staff: dict[str, Any]
) -> None:
    await asyncio.to_thread(payment.push.succeed, Amount=1)
    page = await open_page(f"{server.base_url}{BOARD}", viewport={"width": 360, "height": 740}, **staff)
    await expect(row_of(page, payment)).to_be_visible()
    for first in ("#kpis .big >> nth=3", "#attention li >> nth=0"):
        box = await page.locator(first).bounding_box()
        assert box
        assert box["y"] + box["height"] <= 740, first
    lines = "(row) => new Set([...row.cells].filter((it) => it.offsetParent).map((it) => it.offsetTop)).size"
    assert await row_of(page, payment).evaluate(lines) == 2
    await expect(page.locator(".views")).to_be_hidden()
    await page.locator(".filters summary").click()
    await expect(page.locator(".views")).to_be_visible()


# What it costs ---------------------------------------------------------------------------------------------------

RATE = 20  # callbacks a second


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
async def test_twenty_payments_a_second_while_somebody_types(
    server: RunningServer,
    shop: Shop,
    daraja: FakeDaraja,
    open_page: OpenPage,
    staff: dict[str, Any],
    seconds: int,
) -> None:
    payments = [await asyncio.to_thread(start_payment, shop, daraja) for _ in range(RATE * seconds)]
    page = await open_page(f"{server.base_url}{BOARD}", **staff)
    await live(page)
    await page.locator("#q").focus()
    before = int(await page.locator("#board").get_attribute("data-paints") or 0)
    began = time.monotonic()
    answers, typed = [], ""
    for number, payment in enumerate(payments):
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        answers.append(asyncio.create_task(asyncio.to_thread(payment.push.succeed)))
        if number % RATE == 0:
            await page.keyboard.type("7")
            typed += "7"
    await asyncio.gather(*answers)
    shown = [payment.id for payment in payments[-200:]]
    every_row_is_paid = "ids => ids.every((id) => document.getElementById(`p-${id}`)?.dataset.tone === 'ok')"
    await page.wait_for_function(every_row_is_paid, arg=shown, timeout=30_000)
    paints = int(await page.locator("#board").get_attribute("data-paints") or 0) - before
    assert paints <= 4 * (time.monotonic() - began) + 1
    await expect(page.locator("#q")).to_be_focused()
    assert await page.locator("#q").input_value() == typed
    assert await page.locator("#feed tr").count() <= 200


# A server that goes away, and a right that does --------------------------------------------------------------------


@pytest.fixture
def other_server(tmp_path: Any, _daraja_and_url: tuple[FakeDaraja, str]) -> Iterator[RunningServer]:
    settings = {"DARAJA_BASE_URL": _daraja_and_url[1], "MPESA_QUERY_AFTER_SECONDS": "3600", "RATE_LIMITS": "off"}
    with running_server(tmp_path, **settings) as server:
        yield server


def run_in(server: RunningServer, program: str, *arguments: str) -> None:
    """Run some lines of Django on the database of a server, as another process of ours does."""
    environment = {**os.environ, **server.settings, "DJANGO_SETTINGS_MODULE": "settings"}
    command = [sys.executable, "-c", f"import sys, django\ndjango.setup()\n{program}", *arguments]
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)


COMPLETE = """
from payments.models import Source, Status
from payments.transitions import transition
assert transition(sys.argv[1], Status.COMPLETED, source=Source.QUERY, mpesa_receipt_number="WHILEAWAY1")
"""
EMPLOY = """
from django.contrib.auth.models import Permission, User
user = User.objects.create_user(sys.argv[1], password=sys.argv[2], is_staff=True)
user.user_permissions.add(Permission.objects.get(codename="view_transaction"))
"""
DISMISS = """
from django.contrib.auth.models import User
assert User.objects.filter(username=sys.argv[1]).update(is_staff=False) == 1
"""


async def test_the_board_fills_the_gap_after_the_server_was_away(
    other_server: RunningServer, daraja: FakeDaraja, open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.forgive("ERR_CONNECTION_REFUSED", "WebSocket connection to", "Failed to load resource")
    page = await open_page()
    await log_in(page, other_server)
    payment = await asyncio.to_thread(start_payment, Shop(other_server.base_url), daraja)
    await expect(row_of(page, payment)).to_contain_text("Waiting")
    await page.evaluate("() => { window.marked = true }")
    await asyncio.to_thread(other_server.stop)
    await expect(page.locator("#board")).to_have_attribute("data-connection", "reconnecting")
    await asyncio.to_thread(run_in, other_server, COMPLETE, payment.id)
    await asyncio.to_thread(other_server.start)
    await live(page)
    await expect(row_of(page, payment)).to_contain_text("WHILEAWAY1")
    assert await page.evaluate("() => window.marked")


@pytest.mark.long
async def test_who_is_dismissed_is_cut_off_from_the_open_board(server: RunningServer, open_page: OpenPage) -> None:
    name, password = f"amina-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    await asyncio.to_thread(run_in, server, EMPLOY, name, password)
    page = await open_page()
    await log_in(page, server, name, password)
    await live(page)
    await page.evaluate("() => { window.marked = true }")
    await asyncio.to_thread(run_in, server, DISMISS, name)
    await expect(page.locator("#board")).to_have_attribute("data-connection", "refused", timeout=60_000)
    await expect(page.get_by_role("link", name="Log in")).to_be_visible()
    assert await page.evaluate("() => window.marked")  # the open page was told, not a new one
