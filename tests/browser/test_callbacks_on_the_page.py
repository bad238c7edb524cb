"""What Daraja does to its callbacks, and what a customer with the page open sees of it: the truth, and no more."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import AT_ONCE, OpenPage
from tests.browser.states import Stage
from tests.client import as_stored, new_phone_number
from tests.conftest import Payment
from tests.fake_daraja import query_result

pytestmark = pytest.mark.browser

ASKED = 8_000  # milliseconds; a pass of the reconciler starts every second, on a busy machine too


async def live_page(open_page: OpenPage, stage: Stage, payment: Payment) -> Page:
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    return page


async def says(page: Page, heading: str, within: float = AT_ONCE) -> None:
    await expect(page.locator("h1")).to_have_text(heading, timeout=within)


async def test_a_dropped_callback_is_asked_for_at_the_customers_wish(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.aged, 61)
    page = await live_page(open_page, stage, payment)
    await says(page, "We are checking")
    stage.daraja.on_query = lambda query: query_result(query, 0)
    await page.get_by_role("button", name="Check now").click()
    await expect(page.get_by_text("We have asked M-PESA.")).to_be_visible()
    await says(page, "Payment received", ASKED)


async def test_money_that_comes_late_turns_the_page_green(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.told, 1032)
    page = await live_page(open_page, stage, payment)
    await says(page, "You cancelled on your phone")
    await asyncio.to_thread(payment.push.succeed)
    await says(page, "Payment received")
    await expect(page.locator(".detail")).to_contain_text("Good news: your payment arrived.")


async def test_a_duplicate_changes_nothing(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await live_page(open_page, stage, payment)
    body = payment.push.callback()
    await asyncio.to_thread(payment.push.post, body)
    await says(page, "Payment received")
    shown = await page.locator("#payment").inner_html()
    await asyncio.to_thread(payment.push.post, body)
    await page.locator("[data-refresh]").evaluate("link => link.click()")
    await page.reload()
    assert await page.locator("#payment").inner_html() == shown


async def test_a_refusal_that_comes_after_the_money_changes_nothing(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await live_page(open_page, stage, payment)
    await asyncio.to_thread(payment.push.succeed)
    await says(page, "Payment received")
    await asyncio.to_thread(payment.push.fail)
    await page.reload()
    await says(page, "Payment received")


async def test_another_amount_is_for_the_shop_to_look_at(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await live_page(open_page, stage, payment)
    await asyncio.to_thread(lambda: payment.push.succeed(Amount=1.0))
    await says(page, "The shop is checking this payment")
    await expect(page.locator(".detail")).to_contain_text("Do not pay again.")
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)


async def test_who_pays_twice_is_told_so_and_what_happens(stage: Stage, open_page: OpenPage):
    first = await asyncio.to_thread(stage.told, 1032)
    page = await live_page(open_page, stage, first)
    phone_number = new_phone_number()
    await asyncio.to_thread(stage.shop.push, first.order_id, phone_number)
    await asyncio.to_thread(stage.daraja.push_for(as_stored(phone_number)).succeed)
    await asyncio.to_thread(first.push.succeed)
    await says(page, "Two payments arrived")
    await expect(page.locator(".detail")).to_contain_text("will send back KES")
