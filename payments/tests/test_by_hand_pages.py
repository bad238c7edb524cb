"""The panel to pay by hand, the form for the SMS, and the order page that looks again."""

from __future__ import annotations

import time
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from payments.models import Reason, ReceiptClaim, Status
from payments.tests.by_hand import announce, pay_by_hand
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db


def page(client: Any, name: str, key: object, **query: str) -> str:
    return str(client.get(reverse(name, args=[key]), query).content.decode())


def test_the_panel_names_pay_bill_account_and_exact_amount(client: Any, settings: Any) -> None:
    order = make_order()
    payment = make_transaction(order=order)
    for shown in (page(client, "order", make_order().pk), page(client, "payment", payment.pk)):
        assert 'id="by-hand"' in shown
        assert f'<code id="business">{settings.MPESA_SHORTCODE}</code>' in shown
        assert '<code id="due">1500</code>' in shown
    assert f'<code id="account">{order.account_number}</code>' in page(client, "payment", payment.pk)


def test_a_till_has_no_account_number(client: Any, settings: Any) -> None:
    settings.MPESA_TILL_NUMBER = "654321"
    shown = page(client, "order", make_order().pk)
    assert '<code id="business">654321</code>' in shown
    assert 'id="account"' not in shown


def test_the_panel_is_open_after_a_failed_attempt_and_asks_for_the_rest(client: Any) -> None:
    order = make_order()
    failed = make_transaction(order=order, status=Status.FAILED, reason=Reason.CANCELLED, failed_at=timezone.now())
    assert '<details class="by-hand" id="by-hand" open>' in page(client, "payment", failed.pk)
    assert '<details class="by-hand" id="by-hand" open>' in page(client, "order", order.pk)
    pay_by_hand(order, 600)
    assert '<code id="due">900</code>' in page(client, "payment", failed.pk)
    assert "KES 900 is still due" in page(client, "order", order.pk)


def test_the_page_of_a_part_leads_to_paying_the_rest(client: Any) -> None:
    order = make_order()
    part = pay_by_hand(order, 600).transaction
    assert part is not None
    shown = page(client, "payment", part.pk)
    assert "Part of it has arrived" in shown
    assert "Pay the other KES 900" in shown
    document = client.get("/payments/status/", {"transaction_id": part.pk}).json()
    assert (document["phone_number"], document["status"], document["amount"]) == ("2547•••••126", "COMPLETED", 600)


def test_a_paid_order_has_no_panel(client: Any) -> None:
    order = make_order()
    pay_by_hand(order)
    assert 'id="by-hand"' not in page(client, "order", order.pk)


# The SMS --------------------------------------------------------------------------------------------------------


def send(client: Any, order: Any, sms: str, **fields: Any) -> str:
    answer = client.post(reverse("paid_by_hand", args=[order.pk]), {"sms": sms, **fields})
    assert answer.status_code == 303
    return str(answer.headers["Location"])


def test_one_answer_for_unknown_foreign_and_used_codes(client: Any) -> None:
    used, foreign = pay_by_hand(make_order(), receipt="UKP7X00001"), announce("WRONG", 1500, receipt="UKP7X00002")
    order = make_order()
    answers = {send(client, order, code) for code in (used.trans_id, foreign.trans_id, "UKP7X00003")}
    assert answers == {f"/orders/{order.pk}/?told=looking#by-hand"}
    assert ReceiptClaim.objects.count() == 3
    assert "We are looking for this payment" in page(client, "order", order.pk, told="looking")


def test_it_leads_back_to_the_payments_page_but_only_to_one_of_this_order(client: Any) -> None:
    order = make_order()
    payment, other = make_transaction(order=order), make_transaction()
    assert send(client, order, "UKP7X00004", payment=payment.pk).startswith(f"/payments/{payment.pk}/?told=")
    for strange in (other.pk, "https://evil.example/", ""):
        assert send(client, order, "UKP7X00004", payment=strange).startswith(f"/orders/{order.pk}/")


def test_what_holds_no_code_is_said_and_costs_no_try(client: Any) -> None:
    order = make_order()
    for _ in range(6):
        assert "told=no_code" in send(client, order, "I paid you yesterday")
    assert "told=looking" in send(client, order, "UKP7X00005")


def test_the_sixth_code_is_one_too_many(client: Any) -> None:
    order = make_order()
    answers = [send(client, order, f"UKP7X0001{number}") for number in range(6)]
    assert ["told=often" in answer for answer in answers] == [False] * 5 + [True]
    assert "contact the shop" in page(client, "order", order.pk, told="often")


def test_what_a_link_says_was_told_shows_only_our_own_words(client: Any) -> None:
    assert "<script>" not in page(client, "order", make_order().pk, told="<script>alert(1)</script>")


def test_an_unknown_order_is_404(client: Any) -> None:
    url = reverse("paid_by_hand", args=["00000000-0000-4000-8000-000000000000"])
    assert client.post(url, {"sms": "UKP7X00006"}).status_code == 404


# The order's page looks again -----------------------------------------------------------------------------------


def look(shown: str) -> str:
    """Return what the page's looking element asks for."""
    return unescape(shown.split('hx-get="')[1].split('"')[0])


def test_the_order_page_is_told_to_load_again_when_its_money_has_changed(client: Any) -> None:
    order = make_order()
    url = look(page(client, "order", order.pk))
    assert client.get(url).status_code == 204
    announce(order.account_number, 1500, receipt="UKP7X00007")
    assert client.get(url).headers["HX-Refresh"] == "true"
    assert "M-PESA is confirming it" in page(client, "order", order.pk)


def test_a_page_that_stays_open_looks_ever_more_rarely(client: Any) -> None:
    url, now = look(page(client, "order", make_order().pk)), int(time.time())
    opened = url.rpartition("=")[2]
    longer = client.get(url.replace(opened, str(now - 121)))
    assert (longer.status_code, 'hx-trigger="every 5s, visibilitychange' in longer.content.decode()) == (200, True)
    url = look(longer.content.decode())
    assert client.get(url).status_code == 204
    assert 'hx-trigger="every 30s,' in client.get(url.replace(str(now - 121), str(now - 901))).content.decode()


@pytest.mark.parametrize("opened", ["", "-1", "x", "²", "9" * 400])
def test_a_moment_that_is_none_is_now(client: Any, opened: str) -> None:
    url = look(page(client, "order", make_order().pk))
    assert client.get(f"{url.rpartition('=')[0]}={opened}").status_code == 204


# For programs ---------------------------------------------------------------------------------------------------


def test_a_program_reads_what_to_type_and_sends_the_code(client: Any, settings: Any) -> None:
    order = make_order()
    url = f"/api/orders/{order.pk}/by-hand/"
    told = client.get(url).json()
    assert (told["kind"], told["business_number"]) == ("pay_bill", settings.MPESA_SHORTCODE)
    assert (told["account_number"], told["amount_due"]) == (order.account_number, 1500)
    pay_by_hand(make_order(), receipt="UKP7X00101")
    answers = [
        client.post(url, {"sms": sms}, content_type="application/json")
        for sms in ("UKP7X00101", "UKP7X00102 Confirmed.")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    settings.MPESA_TILL_NUMBER = "654321"
    assert (client.get(url).json()["kind"], client.get(url).json()["account_number"]) == ("till", None)


@pytest.mark.parametrize("sms", [None, 5, "", "no code", ["UKP7X00103"]])
def test_a_program_that_sends_no_code_is_told_which_field(client: Any, sms: object) -> None:
    answer = client.post(f"/api/orders/{make_order().pk}/by-hand/", {"sms": sms}, content_type="application/json")
    assert (answer.status_code, answer.json()["field"]) == (400, "sms")
