"""Customers stop waiting, close the tab, press twice, lose their network, and come back: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import AT_ONCE, CONVERGED, Complaints, OpenPage
from tests.browser.states import Stage
from tests.client import as_stored, new_phone_number

pytestmark = pytest.mark.browser

REFRESHED = 20_000  # milliseconds; without a script the page loads itself anew every five seconds


async def says(page: Page, heading: str, within: float = AT_ONCE) -> None:
    await expect(page.locator("h1")).to_have_text(heading, timeout=within)


async def is_live(page: Page) -> None:
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")


async def open_order(page: Page, stage: Stage) -> str:
    """Open the page of a new order; return its address."""
    order = await asyncio.to_thread(stage.shop.order)
    await page.goto(f"{stage.server.base_url}/orders/{order['order_id']}/")
    return page.url


async def buy(page: Page, stage: Stage) -> str:
    """Press Pay; return the number that was typed."""
    typed = new_phone_number()
    await open_order(page, stage)
    await page.get_by_label("M-PESA phone number").fill(typed)
    await page.get_by_role("button", name=re.compile("^Pay KES")).click()
    await says(page, "Check your phone")
    return typed


async def test_who_stops_waiting_is_told_that_a_late_pin_still_pays(stage: Stage, open_page: OpenPage):
    page = await open_page()
    typed = await buy(page, stage)
    await page.get_by_role("link", name="Stop waiting").click()
    await says(page, "You stopped waiting")
    await is_live(page)
    await expect(page.locator(".detail")).to_contain_text("If you still type your PIN, the payment goes through")
    again = page.get_by_role("button", name=re.compile("^Pay again · "))
    await expect(again).to_be_disabled()
    await page.evaluate("() => document.querySelector('[data-refresh]').click()")
    await says(page, "You stopped waiting")
    await asyncio.to_thread(stage.daraja.push_for(as_stored(typed)).succeed)
    await says(page, "Payment received")


async def test_who_stopped_waiting_may_wait_after_all(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/?stopped")
    await page.get_by_role("link", name="Wait for it after all").click()
    await says(page, "Check your phone")


async def test_help_comes_when_the_prompt_is_late_and_offers_nothing_that_would_be_refused(
    stage: Stage, open_page: OpenPage
):
    young = await asyncio.to_thread(stage.start)
    page = await open_page(f"{stage.server.base_url}/payments/{young.id}/")
    await expect(page.get_by_text("No prompt yet?")).to_be_hidden()
    payment = await asyncio.to_thread(stage.aged, 13)
    await page.goto(f"{stage.server.base_url}/payments/{payment.id}/")
    await expect(page.get_by_text("No prompt yet?")).to_be_visible()
    await page.get_by_text("No prompt yet?").click()
    await expect(page.get_by_role("button", name=re.compile("^Send again · "))).to_be_disabled()
    answer = await asyncio.to_thread(stage.shop.push, payment.order_id, new_phone_number())
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_open")


async def test_a_closed_tab_is_found_again_on_the_shops_pages(stage: Stage, open_page: OpenPage):
    page = await open_page()
    await buy(page, stage)
    address = page.url
    context = page.context
    await page.close()
    page = await context.new_page()
    for path in ("/", "/cart/"):
        await page.goto(f"{stage.server.base_url}{path}")
        await expect(page.get_by_role("region", name="Your recent payments")).to_contain_text("Waiting for your PIN")
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    await page.get_by_role("region", name="Your recent payments").get_by_role("link").click()
    assert page.url == address
    stranger = await open_page(address)
    await stranger.goto(stage.server.base_url)
    await expect(stranger.get_by_text("Your recent payments")).to_have_count(0)


async def test_another_number_is_asked_for_with_the_old_one_in_the_field(stage: Stage, open_page: OpenPage):
    page = await open_page()
    typed = await buy(page, stage)
    await is_live(page)
    await asyncio.to_thread(stage.daraja.push_for(as_stored(typed)).fail, 2001, "Wrong PIN")
    await page.get_by_role("link", name="Use another number").click()
    field = page.get_by_label("M-PESA phone number")
    await expect(field).to_have_value(typed)
    other = new_phone_number()
    await field.fill(other)
    await field.press("Enter")
    await says(page, "Check your phone")
    await expect(page.locator(".detail")).to_contain_text(other)


async def test_a_busy_phone_counts_down_on_the_button_and_another_number_may_be_tried_at_once(
    stage: Stage, open_page: OpenPage, complaints: Complaints
):
    complaints.forgive("409 (Conflict)")
    page = await open_page()
    typed = await buy(page, stage)
    await open_order(page, stage)
    await page.get_by_label("M-PESA phone number").fill(typed)
    pay = page.get_by_role("button", name=re.compile("^Pay KES"))
    await pay.click()
    await expect(page.locator(".problem")).to_contain_text("This phone has another M-PESA request open.")
    await expect(pay).to_have_text(re.compile(r"with M-PESA · [0-9:]+$"))
    await expect(pay).to_be_disabled()
    await page.get_by_label("M-PESA phone number").fill(new_phone_number())
    await expect(pay).to_be_enabled()
    await pay.click()
    await says(page, "Check your phone")


async def test_two_taps_on_pay_are_one_prompt(stage: Stage, open_page: OpenPage):
    page = await open_page(java_script_enabled=False)
    typed = new_phone_number()
    await open_order(page, stage)
    await page.get_by_label("M-PESA phone number").fill(typed)
    await page.get_by_role("button", name=re.compile("^Pay KES")).dblclick()
    await says(page, "Check your phone")
    assert len(stage.daraja.pushes_to(as_stored(typed))) == 1


async def test_a_paid_order_has_no_way_to_pay_again(stage: Stage, open_page: OpenPage, complaints: Complaints):
    complaints.forgive("409 (Conflict)")
    page = await open_page()
    address = await open_order(page, stage)
    other = await page.context.new_page()
    await other.goto(address)
    await other.get_by_label("M-PESA phone number").fill(new_phone_number())
    await asyncio.to_thread(pay_elsewhere, stage, address)
    await other.get_by_role("button", name=re.compile("^Pay KES")).click()
    await expect(other.get_by_role("alert")).to_contain_text("This order is already paid.")
    await expect(other.get_by_role("button", name=re.compile("^Pay KES"))).to_have_count(0)
    await other.get_by_role("link", name="See the order").click()
    await says(other, "This order is paid")


def pay_elsewhere(stage: Stage, address: str) -> None:
    phone_number = new_phone_number()
    stage.shop.push(address.rstrip("/").rsplit("/", 1)[1], phone_number)
    stage.daraja.push_for(as_stored(phone_number)).succeed()


async def test_another_language_keeps_the_payment_and_its_socket(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await page.get_by_role("button", name="Kiswahili").click()
    await says(page, "Angalia simu yako")
    await is_live(page)
    await asyncio.to_thread(payment.push.succeed)
    await says(page, "Malipo yamepokelewa")


async def test_a_bundle_that_does_not_parse_leaves_a_page_that_refreshes_itself(
    stage: Stage, open_page: OpenPage, complaints: Complaints
):
    complaints.forgive("SyntaxError", "Unexpected token")

    async def break_it(route: Route) -> None:
        await route.fulfill(content_type="text/javascript", body="let this = that ?? ;")

    payment = await asyncio.to_thread(stage.start)
    page = await open_page()
    await page.route("**/checkout.bundle*.js", break_it)
    await page.goto(f"{stage.server.base_url}/payments/{payment.id}/")
    await asyncio.to_thread(payment.push.succeed)
    await says(page, "Payment received", REFRESHED)


async def test_a_page_whose_script_runs_never_reloads_itself(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await is_live(page)
    await page.evaluate("() => { window.marked = true }")
    await page.wait_for_timeout(6_500)
    assert await page.evaluate("() => window.marked === true")
    await is_live(page)


async def test_nothing_moves_for_who_asked_for_no_motion(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    for motion, moving in (("reduce", 0), ("no-preference", 1)):
        page = await open_page(reduced_motion=motion)
        await page.goto(f"{stage.server.base_url}/payments/{payment.id}/")
        await is_live(page)
        await asyncio.to_thread(payment.push.succeed)
        await says(page, "Payment received")
        animated = "() => getComputedStyle(document.querySelector('.tick')).animationName !== 'none'"
        assert await page.evaluate(animated) == bool(moving)


async def test_a_keyboard_alone_buys_and_tries_again(stage: Stage, open_page: OpenPage):
    page = await open_page()
    await open_order(page, stage)
    await tab_to(page, "input[type=tel]")
    typed = new_phone_number()
    await page.keyboard.type(typed)
    await page.keyboard.press("Enter")
    await says(page, "Check your phone")
    await is_live(page)
    await asyncio.to_thread(stage.daraja.push_for(as_stored(typed)).fail)
    await says(page, "You cancelled on your phone")
    first = page.url
    await tab_to(page, "button[form=again]")
    await page.keyboard.press("Enter")
    await says(page, "Check your phone", CONVERGED)
    assert page.url != first


async def tab_to(page: Page, selector: str) -> None:
    for _ in range(25):
        await page.keyboard.press("Tab")
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"no way to {selector}")


@pytest.mark.long
@pytest.mark.parametrize("pays", ["before", "after"])
async def test_ten_seconds_without_a_network(stage: Stage, open_page: OpenPage, complaints: Complaints, pays: str):
    complaints.forgive("WebSocket connection to", "htmx:ws:error", "Failed to load resource")
    payment = await asyncio.to_thread(stage.start)
    page = await open_page(f"{stage.server.base_url}/payments/{payment.id}/")
    await is_live(page)
    if pays == "before":
        await page.context.set_offline(True)
        await asyncio.to_thread(payment.push.succeed)
        await page.wait_for_timeout(10_000)
        await page.context.set_offline(False)
    else:
        await page.context.set_offline(True)
        await page.wait_for_timeout(10_000)
        await page.context.set_offline(False)
        await is_live(page)
        await asyncio.to_thread(payment.push.succeed)
    await says(page, "Payment received", CONVERGED)


@pytest.mark.long
async def test_an_idle_minute_is_all_but_free(stage: Stage, open_page: OpenPage):
    payment = await asyncio.to_thread(stage.start)
    page = await open_page()
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: heard.append(str(frame))))
    await page.goto(f"{stage.server.base_url}/payments/{payment.id}/")
    await is_live(page)
    heard.clear()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.wait_for_timeout(58_000)
    assert asked == []
    assert 3 <= len(heard) <= 5
    assert sum(len(frame.encode()) for frame in heard) < 2_048


@pytest.mark.long
async def test_a_slow_network_still_brings_it_home(stage: Stage, open_page: OpenPage):
    """400 ms and 400 kbit/s, as on the edge of a cell."""
    payment = await asyncio.to_thread(stage.start)
    page = await open_page()
    network = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    await network.send("Network.emulateNetworkConditions", slow)
    await page.goto(f"{stage.server.base_url}/payments/{payment.id}/")
    await is_live(page)
    await asyncio.to_thread(payment.push.succeed)
    await says(page, "Payment received", CONVERGED)
