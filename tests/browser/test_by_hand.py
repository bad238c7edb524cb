"""The prompt is not the only way: paid by hand on the handset, and the page that is open turns green."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.conftest import AT_ONCE, OpenPage
from tests.client import Shop, as_stored, new_phone_number
from tests.server import RunningServer, running_server

pytestmark = pytest.mark.browser

SMALL_PHONE = {"width": 360, "height": 740}
SOON = 45_000  # milliseconds: M-PESA is asked, and once more ten seconds later when it was too early


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The shop and the simulator in one server, with the defaults."""
    with running_server(tmp_path_factory.mktemp("by-hand"), RATE_LIMITS="off") as server:
        yield server


@pytest.fixture
def market_shop(market: RunningServer) -> Shop:
    return Shop(market.base_url)


def silent(market: RunningServer, phone_number: str) -> None:
    """Let no prompt ever reach this phone."""
    answer = requests.post(
        f"{market.base_url}/simulator/api/phones/{phone_number}/", json={"outcome": "silent"}, timeout=10
    )
    assert answer.ok


@contextmanager
def without_word(market: RunningServer) -> Iterator[None]:
    """Let questions about receipts stay without an answer meanwhile."""
    url = f"{market.base_url}/simulator/api/operator/transaction_status/"
    assert requests.post(url, json={"delivery": "lost"}, timeout=10).ok
    try:
        yield
    finally:
        assert requests.post(url, json={"delivery": "once"}, timeout=10).ok


async def ask_for_prompt(page: Page, market: RunningServer, order: dict[str, object], phone_number: str) -> None:
    await page.goto(f"{market.base_url}/orders/{order['order_id']}/")
    await page.get_by_label("M-PESA phone number").fill(phone_number)
    await page.get_by_role("button", name="with M-PESA").click()
    await expect(page).to_have_url(re.compile(r"/payments/[0-9a-f-]{36}/$"))
    await page.evaluate("() => { window.marked = true }")


async def shown_in_panel(page: Page, what: str) -> str:
    if not await page.locator("#by-hand").evaluate("details => details.open"):
        await page.locator("#by-hand summary").click()
    return await page.locator(f"#{what}").inner_text()


async def pay_on_handset(
    open_page: OpenPage, market: RunningServer, phone_number: str, account: str, amount: str
) -> str:
    """Pay by hand on the handset page and return the SMS."""
    phone = await open_page(f"{market.base_url}/simulator/phone/{as_stored(phone_number)}/")
    await phone.get_by_label("Account number").fill(account)
    await phone.get_by_label("Amount, Ksh").fill(amount)
    await phone.get_by_role("button", name="Pay by hand").click()
    await expect(phone.locator(".sms")).to_contain_text("Confirmed.")
    return await phone.locator(".sms li").first.inner_text()


async def test_the_prompt_never_comes_and_the_open_page_turns_green_when_it_is_paid_by_hand(
    market: RunningServer, market_shop: Shop, open_page: OpenPage
) -> None:
    order, phone_number = market_shop.order(), new_phone_number()
    silent(market, phone_number)
    page = await open_page(viewport=SMALL_PHONE)
    await ask_for_prompt(page, market, order, phone_number)
    account, amount = await shown_in_panel(page, "account"), await shown_in_panel(page, "due")
    assert (await shown_in_panel(page, "business"), amount) == ("174379", str(order["amount"]))

    sms = await pay_on_handset(open_page, market, phone_number, account, amount)

    await expect(page.locator("h1")).to_have_text("Payment received", timeout=SOON)
    await expect(page.locator("#payment")).to_have_class("ok")
    await expect(page.locator("#payment")).to_contain_text("Paid by hand, receipt")
    code = await page.locator("#code").inner_text()
    assert code in sms
    assert await page.evaluate("() => window.marked === true")
    await expect(page.locator("#by-hand")).to_be_hidden()
    await page.get_by_role("link", name="View receipt").click()
    await expect(page.get_by_role("main")).to_contain_text(code)


async def test_two_parts_on_a_failed_attempts_page(
    market: RunningServer, market_shop: Shop, open_page: OpenPage
) -> None:
    order, phone_number = market_shop.order(), new_phone_number()
    page = await open_page(viewport=SMALL_PHONE)
    await ask_for_prompt(page, market, order, phone_number)
    phone = await open_page(f"{market.base_url}/simulator/phone/{as_stored(phone_number)}/")
    await phone.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator("#payment")).to_have_attribute("data-state", "not_paid")
    await expect(page.locator("#business")).to_be_visible()  # opened by itself after the failed attempt
    account = await shown_in_panel(page, "account")

    await pay_on_handset(open_page, market, phone_number, account, "100")
    rest = f"{int(order['amount']) - 100:,}"
    await expect(page.locator("#payment")).to_contain_text(f"KES {rest} is still due.", timeout=SOON)
    assert await shown_in_panel(page, "due") == rest.replace(",", "")

    await pay_on_handset(open_page, market, phone_number, account, rest.replace(",", ""))
    await expect(page.locator("h1")).to_have_text("Payment received", timeout=SOON)
    assert market_shop.order_now(str(order["order_id"]))["status"] == "PAID"
    assert await page.evaluate("() => window.marked === true")


async def test_the_orders_own_page_shows_what_was_paid_by_hand(
    market: RunningServer, market_shop: Shop, open_page: OpenPage
) -> None:
    order = market_shop.order()
    page = await open_page(f"{market.base_url}/orders/{order['order_id']}/", viewport=SMALL_PHONE)
    account = await shown_in_panel(page, "account")
    await pay_on_handset(open_page, market, new_phone_number(), account, str(order["amount"]))
    await expect(page.locator("h1").first).to_have_text("This order is paid", timeout=SOON)


LINES = """code => {
    const text = document.createRange();
    text.selectNodeContents(code);
    return text.getClientRects().length;
}"""


async def test_while_mpesa_is_asked_the_prompt_is_one_press_further_away(
    market: RunningServer, market_shop: Shop, open_page: OpenPage
) -> None:
    order, phone_number = market_shop.order(), new_phone_number()
    with without_word(market):
        page = await open_page(f"{market.base_url}/orders/{order['order_id']}/", viewport=SMALL_PHONE)
        await pay_on_handset(open_page, market, phone_number, await shown_in_panel(page, "account"), "1")
        await expect(page.get_by_text("We have found your payment by hand, KES 1")).to_be_visible()
        await expect(page.get_by_label("M-PESA phone number")).not_to_be_visible()
        await page.get_by_text("I have not paid by hand").click()
        await page.get_by_label("M-PESA phone number").fill(phone_number)
        await page.get_by_role("button", name="I have not paid").click()
        await expect(page).to_have_url(re.compile(r"/payments/[0-9a-f-]{36}/$"))


async def test_an_order_page_that_looks_rarely_looks_when_it_comes_to_the_front(
    market: RunningServer, market_shop: Shop, open_page: OpenPage
) -> None:
    page = await open_page()
    await page.route(
        "**/payments/news/**", lambda route: route.continue_(url=re.sub(r"opened=\d+", "opened=1", route.request.url))
    )
    await page.goto(f"{market.base_url}/orders/{market_shop.order()['order_id']}/")
    await expect(page.locator("[hx-trigger^='every 30s']")).to_be_attached()
    async with page.expect_request("**/payments/news/**", timeout=AT_ONCE):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    async with page.expect_request("**/payments/news/**", timeout=AT_ONCE):
        await page.evaluate("window.dispatchEvent(new Event('online'))")


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("locale", ["en-KE", "sw-KE"])
async def test_no_number_is_broken_over_two_lines(
    market: RunningServer, market_shop: Shop, open_page: OpenPage, locale: str, width: int
) -> None:
    order = market_shop.order()
    url = f"{market.base_url}/orders/{order['order_id']}/"
    page = await open_page(url, locale=locale, viewport={"width": width, "height": 640})
    await page.locator("#by-hand summary").click()
    for number in ("business", "account", "due"):
        assert await page.locator(f"#{number}").evaluate(LINES) == 1
    assert await page.evaluate("() => document.documentElement.scrollWidth") == width


async def test_a_pasted_sms_is_found_and_a_strangers_code_brings_nothing(
    market: RunningServer, market_shop: Shop, open_page: OpenPage
) -> None:
    order, phone_number = market_shop.order(), new_phone_number()
    silent(market, phone_number)
    page = await open_page(viewport=SMALL_PHONE)
    await ask_for_prompt(page, market, order, phone_number)
    sms = await pay_on_handset(open_page, market, phone_number, "WRONG NUMBER", str(order["amount"]))

    stranger = market_shop.order()
    thief = await open_page(f"{market.base_url}/orders/{stranger['order_id']}/", viewport=SMALL_PHONE)
    await send_sms(thief, sms)
    answer = await thief.locator("#by-hand .notice").inner_text()

    await send_sms(page, sms)
    assert await page.locator("#by-hand .notice").inner_text() == answer
    await expect(page.locator("h1")).to_have_text("Payment received", timeout=SOON)
    assert market_shop.order_now(str(stranger["order_id"]))["amount_paid"] == 0


async def send_sms(page: Page, text: str) -> None:
    await shown_in_panel(page, "due")
    await page.get_by_label("M-PESA SMS or its code").fill(text)
    await page.get_by_role("button", name="I have paid").click()
    # Not its being visible: the panel goes as soon as the money is found, which may be before we look.
    await expect(page.locator("#by-hand .notice")).to_have_text(re.compile(r"\S"))


async def test_it_works_without_javascript(market: RunningServer, market_shop: Shop, open_page: OpenPage) -> None:
    order = market_shop.order()
    page = await open_page(f"{market.base_url}/orders/{order['order_id']}/", java_script_enabled=False)
    await page.locator("#by-hand summary").click()
    await page.get_by_label("M-PESA SMS or its code").fill("no code at all")
    await page.get_by_role("button", name="I have paid").click()
    await expect(page.get_by_role("alert")).to_contain_text("We find no M-PESA code")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_has_nothing_to_say(
    market: RunningServer, market_shop: Shop, open_page: OpenPage, scheme: str
) -> None:
    order, phone_number = market_shop.order(), new_phone_number()
    silent(market, phone_number)
    page = await open_page(viewport=SMALL_PHONE, color_scheme=scheme, locale="sw")
    await page.goto(f"{market.base_url}/orders/{order['order_id']}/")
    await page.locator("#by-hand summary").click()
    found = [await Axe().run(page)]
    await page.locator("#phone_number").fill(phone_number)
    await page.locator(".pay button").first.click()
    await page.locator("#by-hand summary").click()
    found.append(await Axe().run(page))
    assert [one.violations_count for one in found] == [0, 0], json.dumps(
        [one.response["violations"] for one in found], indent=1
    )
