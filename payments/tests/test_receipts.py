"""The receipt: a page that anybody may keep, and a letter that leaves once, after the money is safe."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import DatabaseError
from django.utils import translation

from payments import mail, receipts, reconciler
from payments.models import Mail, Reason, Source, Status, Transaction
from payments.tests.conftest import raising
from payments.transitions import transition
from shop.models import Order
from shop.orders import place_order
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db
RECEIPT = "SFF6XYZ123"


@pytest.fixture
def payment() -> Transaction:
    order = make_order(product=make_product(price=750, name="Kahawa & <Chai>"), quantity=2)
    Order.objects.filter(pk=order.pk).update(customer_email="asha@example.com", customer_name="Asha")
    return make_transaction(order=order, phone_number="254712345678")


def _pay(payment: Transaction) -> None:
    fields = {"mpesa_receipt_number": RECEIPT, "result_code": "0"}
    assert transition(payment.pk, Status.COMPLETED, source=Source.CALLBACK, **fields)


def _body() -> str:
    mail.send_due()
    assert len(django_mail.outbox) == 1
    return str(django_mail.outbox[0].body)


def test_a_success_is_told_by_e_mail_once(payment: Transaction, post_callback: Callable[..., Any]) -> None:
    for _copy in range(3):
        post_callback(payment, MpesaReceiptNumber=RECEIPT)
    body = _body()
    assert mail.send_due() == 0
    assert django_mail.outbox[0].to == ["asha@example.com"]
    assert django_mail.outbox[0].subject == f"Receipt {RECEIPT}: KES 1,500 to Duka Papo"
    for words in ("KES 1,500", RECEIPT, "2 × Kahawa & <Chai>: KES 1,500", payment.order.number):
        assert words in body


def test_the_letter_leads_to_the_receipt_and_keeps_the_number_to_itself(payment: Transaction, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://duka.example"
    _pay(payment)
    body = _body()
    assert f"https://duka.example/payments/{payment.pk}/receipt/" in body
    assert "712345678" not in re.sub(r"[\s+]", "", body)


def test_the_letter_speaks_the_language_the_order_was_placed_in(payment: Transaction) -> None:
    with translation.override("sw"):
        order = place_order([(make_product().sku, 1)], customer_email="asha@example.com")
    _pay(make_transaction(order=order))
    with translation.override("sw"):
        heading = translation.gettext("Payment received")
    assert heading != "Payment received"
    assert heading in _body()


def test_a_failure_writes_no_letter(payment: Transaction) -> None:
    transition(payment.pk, Status.FAILED, source=Source.CALLBACK, reason=Reason.CANCELLED)
    assert not Mail.objects.exists()


def test_without_an_address_there_is_no_letter() -> None:
    _pay(make_transaction())
    assert not Mail.objects.exists()


def test_a_success_that_no_page_has_seen_is_told(payment: Transaction, client: Any) -> None:
    """Found by a question to Daraja, with nobody looking: the letter leaves in the same pass."""
    assert transition(payment.pk, Status.COMPLETED, source=Source.QUERY)
    reconciler.run_pass()
    assert "on its way" in django_mail.outbox[0].body


def test_who_paid_twice_is_told_twice(payment: Transaction) -> None:
    again = make_transaction(order=payment.order, status=Status.FAILED, reason=Reason.EXPIRED)
    _pay(payment)
    assert transition(again.pk, Status.COMPLETED, source=Source.CALLBACK, mpesa_receipt_number="SFF6XYZ124")
    mail.send_due()
    assert ["You paid twice" in sent.body for sent in django_mail.outbox] == [False, True]


@pytest.mark.parametrize("broken", ["payments.mail.Mail.objects.get_or_create", "payments.receipts.render_to_string"])
@pytest.mark.parametrize("error", [DatabaseError("full"), RuntimeError("a slip of ours")])
def test_a_letter_that_fails_leaves_the_payment_whole(
    payment: Transaction, monkeypatch: pytest.MonkeyPatch, broken: str, error: Exception
) -> None:
    monkeypatch.setattr(broken, raising(error))
    _pay(payment)
    payment.refresh_from_db()
    assert (payment.status, payment.order.status) == (Status.COMPLETED, Order.Status.PAID)
    assert not Mail.objects.exists()


def test_the_page_shows_what_was_bought_and_by_whom_no_stranger_learns(payment: Transaction, client: Any) -> None:
    _pay(payment)
    page = client.get(f"/payments/{payment.pk}/receipt/")
    for words in (RECEIPT, "2 × Kahawa &amp; &lt;Chai&gt;", "0712 ••• 678", payment.order.number):
        assert words in page.text
    for secret in ("712345678", "asha@example.com", "Asha"):
        assert secret not in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_the_qr_code_leads_to_the_public_address(payment: Transaction, client: Any, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://duka.example"
    _pay(payment)
    page = client.get(f"/payments/{payment.pk}/receipt/").text
    address = f"https://duka.example/payments/{payment.pk}/receipt/"
    assert receipts.qr_code(address) in page
    assert receipts.qr_code(address) != receipts.qr_code(address + "#")
    assert f'<code id="address">{address}</code>' in page
    assert " style=" not in page


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
def test_what_is_not_paid_has_no_receipt_yet(client: Any, status: Status) -> None:
    payment = make_transaction()
    if status == Status.FAILED:
        transition(payment.pk, status, source=Source.CALLBACK, reason=Reason.CANCELLED)
    page = client.get(f"/payments/{payment.pk}/receipt/").text
    assert "<svg" not in page.partition("<main")[2]
    assert ("Not paid" in page) == (status == Status.FAILED)
