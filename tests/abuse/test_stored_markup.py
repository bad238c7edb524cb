"""Markup and formulas that somebody else wrote, on every page and in every file that people open."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from payments import inbox
from payments.models import Callback, Discrepancy, Transaction, TransactionEvent
from payments.tests.conftest import callback_body
from shop.models import Order
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db

MARKUP = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><svg/onload=alert(1)>", "{{ 7|add:7 }}"]
LIVE = [b"<script>alert", b"<img src=x", b"<svg/onload", b">14<"]


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("<script>alert(1)</script>", "", "x"))
    return client


@pytest.fixture
def poisoned() -> Transaction:
    """A payment whose every text field that Daraja, a customer or the network can write holds markup."""
    order = make_order(customer_name="".join(MARKUP)[:80], customer_email='"<script>alert(1)</script>"@example.com')
    payment = make_transaction(order=order)
    for number, markup in enumerate(MARKUP):
        inbox.receive(payment.pk, callback_body(payment, code=7000 + number, desc=markup), "196.201.214.200")
        inbox.receive(payment.pk, b"<script>alert(1)</script>" * (number + 1), "196.201.214.200")
        inbox.receive_hint(callback_body(payment, desc=markup), "41.90.0.1")
    Transaction.objects.filter(pk=payment.pk).update(result_desc=MARKUP[0], under_review=True)
    payment.refresh_from_db()
    assert payment.discrepancies.exists()
    return payment


def _assert_harmless(client: Client, url: str) -> None:
    answer = client.get(url, follow=True)
    assert answer.status_code == 200, url
    content = answer.getvalue()
    found = [markup for markup in LIVE if markup in content]
    assert found == [], url


def test_customers_read_it_as_text(client: Client, poisoned: Transaction) -> None:
    session = client.session
    session["placed_orders"] = [str(poisoned.order_id)]
    session["typed_numbers"] = {str(poisoned.pk): MARKUP[1]}
    session.save()
    for url in (f"/payments/{poisoned.pk}/", f"/payments/{poisoned.pk}/receipt/", f"/orders/{poisoned.order_id}/"):
        _assert_harmless(client, url)


def test_staff_read_it_as_text_in_every_list_and_on_every_page(staff: Client, poisoned: Transaction) -> None:
    for model in (Transaction, TransactionEvent, Callback, Discrepancy, Order):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        _assert_harmless(staff, reverse(f"{name}_changelist"))
        for row in model.objects.all()[:10]:
            _assert_harmless(staff, reverse(f"{name}_change", args=[row.pk]))


def test_what_is_typed_comes_back_as_text(client: Client) -> None:
    product = make_product()
    for markup in MARKUP:
        client.post("/cart/add/", {"sku": product.sku})
        answer = client.post("/checkout/", {"customer_name": markup * 20, "customer_email": markup})
        assert not any(live in answer.content for live in LIVE), answer.content
        answer = client.post("/payments/stk-push/", {"order_id": str(make_order().pk), "phone_number": markup})
        assert not any(live in answer.content for live in LIVE), answer.content


@pytest.mark.parametrize("path", ["/{}/", "/payments/{}/", "/api/orders/{}/", "/admin/{}/", "/?next={}", "/static/{}"])
def test_what_an_address_holds_comes_back_as_text(client: Client, path: str) -> None:
    for markup in MARKUP:
        answer = client.get(path.format(markup), follow=True)
        assert answer.status_code < 500
        assert not any(live in answer.getvalue() for live in LIVE)


def test_a_status_document_is_never_taken_for_a_page(client: Client, poisoned: Transaction) -> None:
    answer: Any = client.get("/payments/status/", {"transaction_id": str(poisoned.pk)})
    assert answer["Content-Type"] == "application/json"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert (
        client.get("/payments/status/", {"transaction_id": str(uuid.uuid4())})["Content-Type"]
        == "application/problem+json"
    )
