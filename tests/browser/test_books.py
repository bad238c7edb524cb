"""A statement that no body may hold is not sent in vain: the page names the command that takes it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.server import RunningServer

pytestmark = pytest.mark.browser


async def test_a_statement_that_is_too_large_is_told_before_it_is_sent(
    server: RunningServer, open_page: OpenPage
) -> None:
    login = re.search(r"Staff login: (\S+) / (\S+)", server.output)
    assert login
    page = await open_page(f"{server.base_url}/admin/login/?next=/admin/payments/finding/books/")
    await page.get_by_label("Username").fill(login[1])
    await page.get_by_label("Password").fill(login[2])
    await page.get_by_role("button", name="Log in").click()
    chooser = page.get_by_label("Statement (CSV)")
    for size, complaint in ((1_100_000, "More than 1 MB: import it with manage.py import_statement."), (100, "")):
        statement = {"name": "june.csv", "mimeType": "text/csv", "buffer": b"x" * size}
        await chooser.set_input_files([statement])
        assert await chooser.evaluate("input => input.validationMessage") == complaint
    await page.get_by_role("button", name="Import").click()
    await expect(page.locator(".messagelist")).to_contain_text("No line has the columns")
