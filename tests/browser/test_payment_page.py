"""The customer's page in a real browser: it hears of the payment at once, and whatever comes between, it converges."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import AT_ONCE, CONVERGED, Complaints, OpenPage
from tests.client import Shop, new_phone_number
from tests.conftest import Payment, start_payment
from tests.fake_daraja import FakeDaraja
from tests.server import RunningServer, running_server

pytestmark = pytest.mark.browser

A_CUT_NETWORK = ("WebSocket connection to", "htmx:ws:error", "Failed to load resource")
NO_SOCKETS = """
class Blocked extends EventTarget {
  readyState = 0;
  constructor() {
    super();
    setTimeout(() => { this.readyState = 3; this.dispatchEvent(new CloseEvent("close", { code: 1006 })); });
  }
  close() {}
}
Object.assign(Blocked, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });
window.WebSocket = Blocked;
"""


def address(server: RunningServer, payment: Payment) -> str:
    return f"{server.base_url}/payments/{payment.id}/"


async def is_live(page: Page) -> None:
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")


async def says(page: Page, heading: str, *, within: float = AT_ONCE) -> None:
    await expect(page.locator("h1")).to_have_text(heading, timeout=within)


async def pay(payment: Payment) -> None:
    answer = await asyncio.to_thread(payment.push.post, payment.push.callback())
    assert answer.status_code == 200


async def mark(page: Page) -> None:
    """Leave a mark that a reload would wipe away."""
    await page.evaluate("() => { window.marked = true }")


async def was_never_reloaded(page: Page) -> bool:
    return bool(await page.evaluate("() => window.marked === true"))


async def test_the_page_turns_green_the_moment_the_callback_comes(server, payment, open_page: OpenPage):
    page = await open_page(address(server, payment))
    await is_live(page)
    await says(page, "Check your phone")
    await mark(page)
    await pay(payment)
    await says(page, "Payment received")
    await expect(page.locator("#alert")).to_contain_text("Payment received")
    await expect(page).to_have_title(re.compile("^Payment received · KES"))
    assert await was_never_reloaded(page)


async def test_twenty_fresh_browsers_all_open_their_socket(server, shop, daraja, open_page: OpenPage):
    for _ in range(2):
        payment = start_payment(shop, daraja)
        for _ in range(10):
            page = await open_page(address(server, payment))
            await is_live(page)
            await page.context.close()


async def test_a_page_in_swahili_hears_swahili(server, payment, open_page: OpenPage):
    page = await open_page(address(server, payment), locale="sw-KE")
    await is_live(page)
    await says(page, "Angalia simu yako")
    await pay(payment)
    await says(page, "Malipo yamepokelewa")
    await expect(page.locator("html")).to_have_attribute("lang", "sw")


async def test_two_pages_on_one_payment_turn_together(server, payment, open_page: OpenPage):
    pages = [await open_page(address(server, payment)) for _ in range(2)]
    for page in pages:
        await is_live(page)
    await pay(payment)
    for page in pages:
        await says(page, "Payment received")


async def test_back_shows_the_truth_and_listens_again(server, shop, daraja, payment, open_page: OpenPage):
    page = await open_page(address(server, payment))
    await is_live(page)
    await page.goto(server.base_url)
    await pay(payment)
    await page.evaluate("() => { setTimeout(() => history.back(), 10) }")
    await says(page, "Payment received", within=CONVERGED)
    await is_live(page)


async def test_a_page_out_of_the_browsers_cache_listens_again(server, payment, open_page: OpenPage):
    page = await open_page(address(server, payment))
    await is_live(page)
    await mark(page)
    await page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    await expect(page.locator("html")).to_have_attribute("data-connection", "reconnecting")
    await page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await is_live(page)
    await pay(payment)
    await says(page, "Payment received")
    assert await was_never_reloaded(page)


async def test_what_was_paid_while_offline_is_there_when_the_network_is(
    server, payment, open_page: OpenPage, complaints: Complaints
):
    complaints.forgive(*A_CUT_NETWORK)
    page = await open_page(address(server, payment))
    await is_live(page)
    await mark(page)
    await page.context.set_offline(True)
    await expect(page.locator(".connection").get_by_text("You are offline.")).to_be_visible()
    await pay(payment)
    await says(page, "Check your phone")
    await page.context.set_offline(False)
    await says(page, "Payment received", within=CONVERGED)
    await is_live(page)
    assert await was_never_reloaded(page)


async def test_with_sockets_blocked_the_page_polls_and_turns_green(
    server, payment, open_page: OpenPage, complaints: Complaints
):
    complaints.forgive(*A_CUT_NETWORK)
    page = await open_page()
    await page.add_init_script(NO_SOCKETS)
    await page.goto(address(server, payment))
    await expect(page.locator("html")).to_have_attribute("data-connection", "polling")
    await expect(page.locator(".connection").get_by_text("Updating every few seconds.")).to_be_visible()
    await pay(payment)
    await says(page, "Payment received", within=CONVERGED)


async def test_a_socket_that_opens_and_stays_silent_is_not_trusted(server, payment, open_page: OpenPage):
    async def swallow(socket: WebSocketRoute) -> None:
        """Take everything and pass nothing on, as some proxies do."""

    page = await open_page()
    await page.route_web_socket(re.compile("/ws/"), swallow)
    await page.goto(address(server, payment))
    await expect(page.locator("html")).to_have_attribute("data-connection", "polling")
    await pay(payment)
    await says(page, "Payment received", within=CONVERGED)


async def test_polling_ends_when_the_socket_speaks(server, payment, open_page: OpenPage, complaints: Complaints):
    complaints.forgive(*A_CUT_NETWORK)
    page = await open_page(address(server, payment))
    await is_live(page)
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if "/payments/status" in request.url else None)
    await page.evaluate(
        "() => { window.Real = WebSocket; " + NO_SOCKETS + " dispatchEvent(new Event('online')); }",
    )
    await expect(page.locator("html")).to_have_attribute("data-connection", "polling")
    await page.evaluate("() => { window.WebSocket = window.Real }")
    await is_live(page)
    seen = len(polls)
    await page.wait_for_timeout(4_000)
    assert seen > 0
    assert len(polls) == seen


async def test_what_is_older_than_the_page_never_gets_onto_it(server, payment, open_page: OpenPage):
    page = await open_page(address(server, payment))
    await is_live(page)
    older = await page.locator("#payment").evaluate("element => element.outerHTML")
    await pay(payment)
    await says(page, "Payment received")
    await page.evaluate(
        "text => htmx.swap({ sourceElement: document.getElementById('live'), target: '#payment',"
        " swap: 'outerMorph', text })",
        older,
    )
    await says(page, "Payment received")


async def test_the_page_tells_which_version_it_has_painted(server, payment, open_page: OpenPage):
    told: list[str] = []
    page = await open_page()
    page.on("websocket", lambda socket: socket.on("framesent", lambda text: told.append(str(text))))
    await page.goto(address(server, payment))
    await is_live(page)
    await pay(payment)
    await says(page, "Payment received")
    version = await page.locator("#payment").get_attribute("data-version")
    await page.wait_for_timeout(300)
    assert told[-1] == f'{{"seen":{version}}}'


async def test_without_javascript_the_page_refreshes_itself_and_ends_on_a_stable_one(
    server, payment, open_page: OpenPage
):
    page = await open_page(address(server, payment), java_script_enabled=False)
    await says(page, "Check your phone")
    await expect(page.get_by_role("link", name="Check status")).to_be_visible()
    await pay(payment)
    await says(page, "Payment received", within=CONVERGED)
    await expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
    await expect(page.get_by_role("button", name="Copy")).to_be_hidden()


async def test_the_page_outlives_its_server(
    request: pytest.FixtureRequest,
    daraja: FakeDaraja,
    tmp_path: Path,
    open_page: OpenPage,
    complaints: Complaints,
):
    complaints.forgive(*A_CUT_NETWORK)
    _, url = request.getfixturevalue("_daraja_and_url")
    with running_server(tmp_path, DARAJA_BASE_URL=url, MPESA_QUERY_AFTER_SECONDS="3600") as server:
        payment = start_payment(Shop(server.base_url), daraja)
        page = await open_page(address(server, payment))
        await is_live(page)
        await mark(page)
        await asyncio.to_thread(server.kill)
        await expect(page.locator("html")).to_have_attribute("data-connection", "reconnecting")
        await asyncio.to_thread(server.start)
        await is_live(page)
        await pay(payment)
        await says(page, "Payment received")
        assert await was_never_reloaded(page)


async def buy(page: Page, server: RunningServer, shop: Shop, phone_number: str) -> None:
    """Place an order and press Pay on its page."""
    order = await asyncio.to_thread(shop.order)
    await page.goto(f"{server.base_url}/orders/{order['order_id']}/")
    await page.get_by_label("M-PESA phone number").fill(phone_number)
    await page.get_by_role("button", name=re.compile("^Pay KES")).click()


async def test_who_typed_the_number_goes_on_seeing_it_as_typed(server, shop, daraja, open_page: OpenPage):
    typed = new_phone_number()
    typed = f"{typed[:4]} {typed[4:7]} {typed[7:]}"
    page = await open_page()
    await buy(page, server, shop, typed)
    await is_live(page)
    await expect(page.locator(".detail")).to_contain_text(typed)
    push = daraja.push_for(f"254{typed.replace(' ', '')[1:]}")
    await asyncio.to_thread(push.post, push.callback())
    await says(page, "Payment received")
    await expect(page.locator(".facts .phone")).to_have_text(typed)


async def test_after_a_refusal_one_press_prompts_the_same_phone_again(server, shop, daraja, open_page: OpenPage):
    typed = new_phone_number()
    page = await open_page()
    await buy(page, server, shop, typed)
    await is_live(page)
    first, push = page.url, daraja.push_for(f"254{typed[1:]}")
    await asyncio.to_thread(push.post, push.callback(code=1032, description="Request cancelled by user"))
    await says(page, "You cancelled on your phone")
    await page.get_by_role("button", name="Try again").click()
    await says(page, "Check your phone", within=CONVERGED)
    assert page.url != first


async def test_a_wrong_number_is_said_twice_and_kept_as_typed(
    server, shop, daraja, open_page: OpenPage, complaints: Complaints
):
    complaints.forgive("400 (Bad Request)")
    page = await open_page()
    await buy(page, server, shop, "0712")
    field = page.get_by_label("M-PESA phone number")
    await expect(field).to_have_value("0712")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_role("alert").get_by_role("link")).to_be_visible()
    await expect(page.locator(".problem")).to_be_focused()
    assert (await page.title()).startswith("Error:")


@pytest.mark.long
async def test_zero_on_the_countdown_says_checking_and_never_failed(server, payment, open_page: OpenPage):
    page = await open_page(address(server, payment))
    await is_live(page)
    await expect(page.locator("#words")).to_have_text("20 seconds left.", timeout=45_000)
    await says(page, "We are checking", within=25_000)
    await expect(page.locator("#words")).to_contain_text("Do not pay again yet.")


@pytest.mark.long
async def test_a_heartbeat_that_stops_makes_the_page_connect_anew(server, payment, open_page: OpenPage):
    sockets: list[WebSocketRoute] = []

    async def fall_silent(socket: WebSocketRoute) -> None:
        server_side = socket.connect_to_server()
        sockets.append(socket)
        if len(sockets) == 1:
            server_side.on_message(lambda text: socket.send(text) if "ping" not in text else None)

    page = await open_page()
    await page.route_web_socket(re.compile("/ws/"), fall_silent)
    await page.goto(address(server, payment))
    await is_live(page)
    await page.wait_for_timeout(40_000)
    assert len(sockets) == 2
    await is_live(page)
