"""Every reason a payment can fail for, pushed to an open page: its heading, its advice, and what to do next."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import AT_ONCE, OpenPage
from tests.browser.states import STATES, Stage
from tests.fake_daraja import refusal

pytestmark = pytest.mark.browser

NO_MONEY = "No money was taken."
TRY, SEND, OTHER, ORDER = "Try again", "Send again", "Use another number", "Back to the order"
PAUSED = re.compile(r"^(Try|Send) again · [0-9]:[0-5][0-9]$")

# code, heading, a part of the advice, the controls below; PAUSED is a button that counts down.
REASONS = [
    (1, "Not enough money in M-PESA", "Fuliza", [TRY, OTHER]),
    (1032, "You cancelled on your phone", "whenever you like", [TRY, ORDER]),
    (1031, "You cancelled on your phone", "whenever you like", [TRY, ORDER]),
    (1037, "Your phone did not answer", "*234*1*6#", [SEND, OTHER]),
    (1036, "Your phone did not answer", "has signal", [SEND, OTHER]),
    (1019, "The request ran out of time", "within a minute", [SEND, OTHER]),
    (2001, "M-PESA did not accept the PIN", "*334#", [TRY, OTHER]),
    (1001, "Another M-PESA request is open", "close it on your phone", [PAUSED, OTHER]),
    (26, "M-PESA is busy", "It is not you.", [PAUSED, OTHER]),
    (17, "Please wait two minutes", "every two minutes", [PAUSED, OTHER]),
    (2, "M-PESA's limit was reached", "beyond what M-PESA allows", [TRY, OTHER]),
    (2006, "This M-PESA account cannot pay now", "Call Safaricom on 100", [TRY, OTHER]),
    (8006, "Your M-PESA PIN is locked", "Call Safaricom on 100", [TRY, OTHER]),
    (1025, "We could not reach your phone", "could not deliver the prompt", [SEND, OTHER]),
    (9999, "We could not reach your phone", "could not deliver the prompt", [SEND, OTHER]),
    (2028, "The shop has a payment problem", "We have been told.", [TRY, ORDER]),
]


async def shows_controls(page: Page, controls: list[str | re.Pattern[str]]) -> None:
    await expect(page.locator("#payment .button:visible")).to_have_text(controls)


@pytest.mark.parametrize(("code", "heading", "advice", "controls"), REASONS, ids=[str(row[0]) for row in REASONS])
async def test_the_open_page_says_why_and_what_to_do(
    stage: Stage, open_page: OpenPage, code, heading, advice, controls
):
    payment = await asyncio.to_thread(stage.start)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    await asyncio.to_thread(payment.push.fail, code, "As told.")
    await expect(page.locator("h1")).to_have_text(heading, timeout=AT_ONCE)
    await expect(page.locator(".detail")).to_contain_text(NO_MONEY)
    await expect(page.locator(".detail")).to_contain_text(advice)
    await expect(page.locator("#words")).to_contain_text(heading)
    await expect(page).to_have_title(re.compile(f"^{re.escape(heading)} · KES"))
    await shows_controls(page, controls)


REFUSALS = [
    ("400.002.02", "Bad Request - Invalid PhoneNumber", 400, "Check the number", [TRY, OTHER]),
    ("500.001.1001", "Unable to lock subscriber", 500, "Another M-PESA request is open", [PAUSED, OTHER]),
    ("500.003.02", "System is busy", 500, "M-PESA is busy", [PAUSED, OTHER]),
    ("500.001.1001", "Wrong credentials", 500, "The shop has a payment problem", [TRY, ORDER]),
    ("404.001.01", "Resource not found", 404, "The shop has a payment problem", [TRY, ORDER]),
]


@pytest.mark.parametrize(("code", "message", "status", "heading", "controls"), REFUSALS)
async def test_a_refused_push_says_why(stage: Stage, open_page: OpenPage, code, message, status, heading, controls):
    payment = await asyncio.to_thread(stage.refused, refusal(code, message, status=status))
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await expect(page.locator("h1")).to_have_text(heading)
    await expect(page.locator(".detail")).to_contain_text(NO_MONEY)
    await shows_controls(page, controls)


@pytest.mark.parametrize(
    ("state", "says", "controls"),
    [
        ("sending", "Do not pay again yet.", ["Stop waiting"]),
        ("checking", "Do not pay again yet.", ["Check now", "Stop waiting"]),
        ("unheard", "your money is safe", ["Check now", "Stop waiting"]),
        ("under review", "Do not pay again.", [ORDER]),
        ("earlier paid", "Cancel the request on your phone.", [ORDER]),
        ("expired", "your money is safe", ["Check now", TRY, OTHER]),
        ("unknown code", "M-PESA's code is 4999.", ["Check now", TRY, ORDER]),
        ("paid twice", "You paid twice.", ["View receipt", ORDER]),
    ],
)
async def test_what_is_not_proven_is_not_said(stage: Stage, open_page: OpenPage, state, says, controls):
    payment = await asyncio.to_thread(STATES[state].make, stage)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await expect(page.locator("h1")).to_have_text(STATES[state].heading)
    await expect(page.locator(".detail")).to_contain_text(says)
    await expect(page.locator("#payment")).not_to_contain_text(NO_MONEY)
    await shows_controls(page, controls)


async def test_a_pause_runs_out_into_a_button_without_a_reload(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.told, 1001)
    await asyncio.to_thread(stage.let_pass, payment, 52)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await shows_controls(page, [PAUSED, OTHER])
    assert await page.locator("#payment button:visible").first.is_disabled()
    await page.evaluate("() => { window.marked = true }")
    await expect(page.locator("#payment .button:visible")).to_have_text([TRY, OTHER], timeout=15_000)
    assert await page.evaluate("() => window.marked === true")
