"""The staff's pages in a real browser: live in front of two people, plain without scripts, clean for everyone."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from shop.demo import staff_login
from tests.browser.conftest import OpenPage
from tests.client import as_stored, new_phone_number
from tests.conftest import Payment
from tests.fake_daraja import FakeDaraja
from tests.server import RunningServer

pytestmark = pytest.mark.browser

STAFF = "/admin/payments"


@pytest.fixture(scope="module")
def logged_in(server: RunningServer) -> dict[str, Any]:
    """The cookies of the demo's staff, as a browser context takes them."""
    with requests.Session() as browser:
        browser.get(f"{server.base_url}/admin/login/", timeout=20)
        name, password = staff_login()
        form = {"username": name, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post(f"{server.base_url}/admin/login/", data=form, timeout=20)
        cookies = [{"name": cookie.name, "value": cookie.value, "url": server.base_url} for cookie in browser.cookies]
    return {"storage_state": {"cookies": [_stored(cookie) for cookie in cookies], "origins": []}}


@pytest.fixture
def nothing_waits(server: RunningServer) -> None:
    """Hand over, long ago, what other tests have paid: the desk shows the oldest hundred."""
    with closing(sqlite3.connect(server.directory / "shop.sqlite3", timeout=20)) as database, database:
        database.execute(
            "UPDATE shop_order SET fulfilment = 'handed_over', handed_over_at = '2026-01-01' WHERE status = 'PAID'"
        )


def _stored(cookie: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": cookie["name"],
        "value": cookie["value"],
        "domain": "127.0.0.1",
        "path": "/",
        "expires": -1,
        "httpOnly": False,
        "secure": False,
        "sameSite": "Lax",
    }


def pages(payment: Payment) -> list[str]:
    return [
        f"{STAFF}/transaction/?status=PENDING&least=1",
        f"{STAFF}/transaction/{payment.id}/change/",
        f"{STAFF}/transaction/{payment.id}/do/note/",
        f"{STAFF}/transaction/{payment.id}/do/phone/",
        f"{STAFF}/counter/",
        f"{STAFF}/orders/",
        f"{STAFF}/export/?status=COMPLETED",
    ]


async def _axe(page: Page) -> None:
    found = await Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{json.dumps(found.response['violations'], indent=1)}"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
async def test_axe_and_the_content_policy_have_nothing_to_say(
    server: RunningServer, payment: Payment, open_page: OpenPage, logged_in: dict[str, Any], scheme: str, width: int
) -> None:
    await asyncio.to_thread(payment.push.succeed)
    look = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "reduced_motion": "reduce"}
    page = await open_page(**look, **logged_in)
    for path in pages(payment):
        await page.goto(f"{server.base_url}{path}")
        await _axe(page)
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= width, path


async def test_the_counter_turns_green_in_front_of_both(
    server: RunningServer, daraja: FakeDaraja, open_page: OpenPage, logged_in: dict[str, Any]
) -> None:
    page, phone_number = await open_page(f"{server.base_url}{STAFF}/counter/", **logged_in), new_phone_number()
    await page.get_by_label("Amount in KES").fill("1,500")
    await page.get_by_label("Customer's M-PESA number").fill(phone_number)
    await page.get_by_role("button", name="Ask for the money").click()
    await expect(page.locator("h1")).to_have_text("Check your phone")
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    await page.evaluate("() => { window.notReloaded = true }")
    await asyncio.to_thread(daraja.push_for(as_stored(phone_number)).succeed)
    await expect(page.locator("h1")).to_have_text("Payment received")
    assert await page.evaluate("() => window.notReloaded")
    await page.get_by_role("link", name="Next customer").click()
    await expect(page.get_by_label("Amount in KES")).to_be_focused()


async def test_a_scanned_code_leads_to_the_customers_payment(
    server: RunningServer, daraja: FakeDaraja, open_page: OpenPage, logged_in: dict[str, Any]
) -> None:
    page = await open_page(f"{server.base_url}{STAFF}/counter/", **logged_in)
    await page.get_by_label("Amount in KES").fill("250")
    await page.get_by_role("button", name="Ask for the money").click()
    await expect(page.get_by_role("img", name="QR code of this order")).to_be_visible()
    await _axe(page)
    url = await page.locator("code").inner_text()
    customer, phone_number = await open_page(url), new_phone_number()
    await customer.locator("[name=phone_number]").fill(phone_number)
    await customer.locator("main form button[type=submit]").first.click()
    await expect(customer.locator("h1")).to_have_text("Check your phone")
    await expect(page.locator("h1")).to_have_text("Check your phone")  # the page of the code went on by itself
    await asyncio.to_thread(daraja.push_for(as_stored(phone_number)).succeed)
    await expect(page.locator("h1")).to_have_text("Payment received")


@pytest.mark.usefixtures("nothing_waits")
async def test_what_one_packs_the_others_see(
    server: RunningServer, payment: Payment, open_page: OpenPage, logged_in: dict[str, Any]
) -> None:
    first, second = [await open_page(f"{server.base_url}{STAFF}/orders/", **logged_in) for _ in range(2)]
    await second.evaluate("() => { window.notReloaded = true }")
    await asyncio.to_thread(payment.push.succeed)
    number = await asyncio.to_thread(_order_number, server, payment)
    for page in (first, second):
        await expect(page.locator("section", has=page.locator("#to-pack"))).to_contain_text(number)
    await first.get_by_role("button", name=f"Packed: {number}").click()
    await expect(second.locator("section", has=second.locator("#packed"))).to_contain_text(number)
    assert await second.evaluate("() => window.notReloaded")


def _order_number(server: RunningServer, payment: Payment) -> str:
    page = requests.get(f"{server.base_url}/orders/{payment.order_id}/", timeout=20).text
    account = page.split("<code>")[1][:8]
    return f"{account[:4]}-{account[4:]}"


async def test_the_page_of_a_payment_follows_it_and_keeps_what_is_open(
    server: RunningServer, payment: Payment, open_page: OpenPage, logged_in: dict[str, Any]
) -> None:
    await asyncio.to_thread(payment.push.fail)
    page = await open_page(f"{server.base_url}{STAFF}/transaction/{payment.id}/change/", **logged_in)
    await page.evaluate("() => { window.notReloaded = true }")
    await page.locator("#history ~ .wide summary").first.click()
    await asyncio.to_thread(payment.push.succeed)
    await expect(page.locator(".state")).to_contain_text("Paid late")
    assert await page.locator("#history ~ .wide details[open]").count() == 1
    assert await page.evaluate("() => window.notReloaded")


async def test_an_export_comes_as_a_file_and_the_page_says_when_it_is_whole(
    server: RunningServer, payment: Payment, open_page: OpenPage, logged_in: dict[str, Any], tmp_path: Path
) -> None:
    page = await open_page(f"{server.base_url}{STAFF}/export/?q={payment.id}", **logged_in)
    await page.get_by_role("button", name="Export").click()
    await expect(page.get_by_role("status")).to_contain_text("Ready to download")
    await _axe(page)
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Download the file").click()
    await (await coming.value).save_as(tmp_path / "payments.csv")
    rows = csv.DictReader((tmp_path / "payments.csv").read_text("utf-8-sig").splitlines())
    assert [row["transaction_id"] for row in rows] == [payment.id]
    await expect(page.get_by_role("status")).to_contain_text("1 of 1 payments")


@pytest.mark.usefixtures("nothing_waits")
async def test_the_desk_works_without_scripts(
    server: RunningServer, payment: Payment, open_page: OpenPage, logged_in: dict[str, Any]
) -> None:
    await asyncio.to_thread(payment.push.succeed)
    number = await asyncio.to_thread(_order_number, server, payment)
    page = await open_page(f"{server.base_url}{STAFF}/orders/", java_script_enabled=False, **logged_in)
    await page.get_by_role("button", name=f"Packed: {number}").click()
    await page.get_by_role("button", name=f"Undo: {number}").click()
    await page.goto(f"{server.base_url}{STAFF}/transaction/{payment.id}/change/")
    await page.get_by_role("link", name="Add a note").click()
    await page.get_by_label("Note").fill("Wants it wrapped")
    await page.get_by_role("button", name="Add a note").click()
    await expect(page.locator(".notes")).to_contain_text("Wants it wrapped")
    await expect(page.locator("#history ~ .wide")).to_contain_text("took a step of the order back")
