"""While a payment by hand waits for M-PESA's word, pages ask before they send a prompt, and refuse nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from payments import budget
from payments.c2b import asking, rescue
from payments.c2b.announced import ASKED_FIRST, announced, asks_first
from payments.daraja import operator
from payments.daraja.client import DarajaThrottled
from payments.documents import document, facts
from payments.models import Confirmation, Reason, ReceiptClaim, Status, Transaction
from payments.screen import screen
from payments.tests.by_hand import announce, hear, new_receipt, pay_by_hand
from payments.tests.conftest import FakeDaraja
from shop.models import Order
from tests.factories import make_order, make_transaction, new_phone_number
from tests.faults.clock import let_pass

pytestmark = pytest.mark.django_db

OVER = ASKED_FIRST.total_seconds() + 1


def failed_payment(order: Order) -> Transaction:
    return make_transaction(order=order, status=Status.FAILED, failed_at=timezone.now(), reason=Reason.CANCELLED)


def shown(payment: Transaction) -> dict[str, Any]:
    return screen(facts(Transaction.objects.select_related("order").get(pk=payment.pk)))


def press(client: Any, order: Order, **fields: str) -> Any:
    """Press the button of a page that asks for money."""
    return client.post("/payments/stk-push/", {"order_id": str(order.pk), "phone_number": new_phone_number(), **fields})


def order_page(client: Any, order: Order) -> str:
    return str(client.get(reverse("order", args=[order.pk])).content.decode())


# Asked first ----------------------------------------------------------------------------------------------------


def test_the_form_asks_first_and_sends_the_prompt_when_that_is_answered(client: Any, daraja: FakeDaraja) -> None:
    order = make_order()
    announce(order.account_number, 600)
    asked = press(client, order)
    page = asked.content.decode()
    assert (asked.status_code, daraja.pushes) == (409, [])
    assert "We have found your payment by hand, KES 600, and M-PESA is confirming it." in page
    assert '<details class="instead" open>' in page
    assert 'name="not_paid_by_hand"' in page
    assert "I have not paid: ask for KES 1,500" in page
    assert press(client, order, not_paid_by_hand="1").status_code == 303
    assert len(daraja.pushes) == 1


def test_the_question_uses_up_no_key(client: Any, daraja: FakeDaraja) -> None:
    order = make_order()
    announce(order.account_number, 600)
    body = {"order_id": str(order.pk), "phone_number": new_phone_number()}
    key = {"Idempotency-Key": "0123456789abcdef"}
    assert client.post("/payments/stk-push/", body, headers=key).status_code == 409
    answers = [client.post("/payments/stk-push/", {**body, "not_paid_by_hand": "1"}, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(daraja.pushes) == 1


def test_htmx_is_asked_by_the_fragment(client: Any) -> None:
    order = make_order()
    announce(order.account_number, 1500)
    body = {"order_id": str(order.pk), "phone_number": new_phone_number()}
    answer = client.post("/payments/stk-push/", body, headers={"HX-Request": "true"})
    assert (answer.status_code, b"<html" in answer.content) == (409, False)
    assert b"not_paid_by_hand" in answer.content


def test_the_order_page_asks_too_and_for_two_minutes_only(client: Any, daraja: FakeDaraja) -> None:
    order = make_order()
    assert "not_paid_by_hand" not in order_page(client, order)
    announce(order.account_number, 1500)
    page = order_page(client, order)
    assert '<details class="instead">' in page
    assert "Pay KES 1,500 with M-PESA" not in page
    let_pass(OVER)
    page = order_page(client, order)
    assert "not_paid_by_hand" not in page
    assert "M-PESA has not confirmed it yet. If it is yours, do not pay again." in page
    assert press(client, order).status_code == 303


def test_a_code_that_the_customer_sent_counts_as_well(client: Any, daraja: FakeDaraja) -> None:
    order = make_order()
    rescue.claim(order, "UKP7X00001", address=None)
    assert "You have sent us an M-PESA code" in order_page(client, order)
    assert press(client, order).status_code == 409
    ReceiptClaim.objects.update(state=ReceiptClaim.State.FOR_STAFF)
    assert press(client, order).status_code == 409
    let_pass(OVER)
    assert "You have sent us" not in order_page(client, order)
    assert press(client, order).status_code == 303


def test_money_that_staff_must_match_counts_as_well(client: Any, settings: Any) -> None:
    settings.MPESA_INITIATOR_NAME = ""
    order = make_order()
    assert announce(order.account_number, 1500).state == Confirmation.State.UNMATCHED
    assert press(client, order).status_code == 409


def test_once_it_is_refused_or_counted_nobody_is_asked(client: Any, daraja: FakeDaraja) -> None:
    denied, part = make_order(), make_order()
    receipt = new_receipt()
    announce(denied.account_number, 1500, receipt=receipt)
    hear(receipt, is_final=True)
    assert press(client, denied).status_code == 303
    pay_by_hand(part, 600)
    assert press(client, part).status_code == 303
    assert [push["amount"] for push in daraja.pushes] == [1500, 900]  # what is still due, and no more


def test_where_a_prompt_is_open_the_button_leads_to_it(client: Any) -> None:
    order = make_order()
    payment = make_transaction(order=order)
    announce(order.account_number, 1500)
    assert not asks_first(order)
    answer = press(client, order, phone_number=payment.phone_number)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/payments/{payment.pk}/")


def test_a_program_is_refused_nothing_and_can_see_it(client: Any, daraja: FakeDaraja) -> None:
    order = make_order()
    url = f"/api/orders/{order.pk}/by-hand/"
    assert client.get(url).json()["checking"] is None
    announce(order.account_number, 600)
    told = client.get(url).json()["checking"]
    assert (told["amount"], 0 < told["seconds"] <= 120) == (600, True)
    body = {"order_id": str(order.pk), "phone_number": new_phone_number()}
    assert client.post("/payments/stk-push/", body, content_type="application/json").status_code == 201


def test_another_environments_confirmations_are_not_asked_about() -> None:
    order = make_order()
    announce(order.account_number, 1500)
    Confirmation.objects.update(environment="production")
    assert announced(order) is None


# The payment's page ---------------------------------------------------------------------------------------------


def test_the_payments_page_offers_no_prompt_while_it_says_found_and_then_does_again() -> None:
    order = make_order()
    payment = failed_payment(order)
    announce(order.account_number, 1500)
    while_found = shown(payment)
    assert (while_found["state"], while_found["can_retry"], while_found["refresh_every"]) == ("found", False, 5)
    assert 119 <= while_found["turns_in"] <= 121
    let_pass(OVER)
    after = shown(payment)
    assert (after["state"], after["can_retry"]) == ("not_paid", True)
    assert after["detail"].endswith("If it is yours, do not pay again.")
    assert "No money was taken" not in after["detail"]


def test_the_document_says_what_the_api_would_answer() -> None:
    order = make_order()
    payment = failed_payment(order)
    announce(order.account_number, 1500)
    told = document(facts(Transaction.objects.select_related("order").get(pk=payment.pk)))
    assert told["can_retry"]
    assert "Do not pay again" in told["message"]


def test_what_another_environment_began_for_the_order_is_told_nothing(throttled: list[str]) -> None:
    order = make_order()
    ours, anothers = failed_payment(order), failed_payment(order)
    Transaction.objects.filter(pk=anothers.pk).update(environment="sandbox", found_by_hand=True)
    announce(order.account_number, 1500, receipt="UKP7X00006")  # found
    asking.look()  # a pause
    hear("UKP7X00006", is_final=True)  # and not M-PESA's
    assert Transaction.objects.get(pk=ours.pk).version == 4
    anothers.refresh_from_db()
    assert (anothers.version, anothers.found_by_hand) == (1, True)


def test_what_waits_in_another_environment_keeps_no_page_at_found() -> None:
    order = make_order()
    payment = failed_payment(order)
    Confirmation.objects.filter(pk=announce(order.account_number, 1500).pk).update(environment="sandbox")
    receipt = new_receipt()
    announce(order.account_number, 1500, receipt=receipt)
    hear(receipt, is_final=True)
    assert not Transaction.objects.get(pk=payment.pk).found_by_hand


# While Daraja wants quiet ---------------------------------------------------------------------------------------


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Daraja that answers every question about a receipt with 429."""
    asked: list[str] = []

    def refuse(*, receipt: str, **_: Any) -> None:
        asked.append(receipt)
        raise DarajaThrottled("429", "Spike arrest", Reason.BUSY)

    monkeypatch.setattr(operator, "transaction_status", refuse)
    monkeypatch.setattr(settings, "MPESA_INITIATOR_NAME", "testapi")
    return asked


def test_a_429_silences_all_and_the_pages_say_when_mpesa_is_asked(client: Any, throttled: list[str]) -> None:
    order = make_order()
    payment = failed_payment(order)
    announce(order.account_number, 1500, receipt="UKP7X00002")
    version = Transaction.objects.get(pk=payment.pk).version
    asking.look()
    assert (throttled, budget.is_silent()) == (["UKP7X00002"], True)
    now = shown(payment)
    assert "M-PESA needs a short pause: we ask in about 60 seconds." in now["detail"]
    assert (now["version"], now["turns_in"]) == (version + 1, 61)
    assert "we ask in about 60 seconds" in order_page(client, order)


def test_it_is_asked_again_as_soon_as_the_silence_is_over(throttled: list[str]) -> None:
    order = make_order()
    announce(order.account_number, 1500, receipt="UKP7X00003")
    for number in range(1, 5):
        asking.look()
        asking.look()
        assert len(throttled) == number
        let_pass(61)
    assert Confirmation.objects.get().checks == 4


def test_one_that_is_throttled_each_time_lets_others_go_first(throttled: list[str]) -> None:
    announce(make_order().account_number, 1500, receipt="UKP7X00004")
    asking.look()
    announce(make_order().account_number, 1500, receipt="UKP7X00005")
    let_pass(61)
    asking.look()
    assert throttled == ["UKP7X00004", "UKP7X00005"]
