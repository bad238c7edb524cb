from __future__ import annotations

import json
import logging
import resource
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from django.test import Client

from payments.callback_token import make_callback_token
from payments.models import Callback, Transaction
from payments.tests.conftest import callback_body
from shop.models import Order
from tests.abuse.bodies import Bodies
from tests.abuse.truth import really_pays
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db

SEED = 254
GROWTH = 50 * 1024  # KiB


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# Committed each for itself: PostgreSQL walks all versions of a row that one transaction changes thousands of times.
MANY = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("bodies", [800, pytest.param(27_000, marks=MANY)])
def test_no_body_is_an_error_and_none_but_a_true_one_pays(client: Client, bodies: int) -> None:
    product = make_product()
    payment = make_transaction(order=make_order(product=product))
    statuses, before = set(), _memory()
    for body in islice(Bodies(SEED, json.loads(callback_body(payment))), bodies):
        answer = client.post(
            f"/payments/callback/{make_callback_token(payment.pk)}/", body, content_type="application/json"
        )
        statuses.add(answer.status_code)
        payment.refresh_from_db()
        if payment.status == "COMPLETED":
            assert really_pays(body, payment), body
        if payment.status != "PENDING" or payment.under_review:
            payment = _another(payment, product)
    assert statuses == {200, 400, 413}
    assert _memory() - before < GROWTH
    assert not Callback.objects.filter(state="received").exists()


def _another(payment: Transaction, product: Any) -> Transaction:
    """Return a new payment with the ids of the last, so that the bodies go on being about it."""
    ids = {"checkout_request_id": payment.checkout_request_id, "merchant_request_id": payment.merchant_request_id}
    Transaction.objects.filter(pk=payment.pk).update(
        checkout_request_id=None, merchant_request_id=None, mpesa_receipt_number=None, check_after=None
    )
    Transaction.objects.filter(pk=payment.pk, status="PENDING").update(status="FAILED", reason="under_review")
    return make_transaction(order=make_order(product=product), account_reference=_spare(payment), **ids)


def _spare(payment: Transaction) -> str:
    reference = payment.account_reference
    Transaction.objects.filter(pk=payment.pk).update(account_reference=payment.pk.hex[:12])
    return reference


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("bodies", [300, pytest.param(3_000, marks=pytest.mark.long)])
def test_no_body_without_a_token_changes_anything(client: Client, bodies: int) -> None:
    payment = make_transaction()
    for body in islice(Bodies(SEED, json.loads(callback_body(payment))), bodies):
        answer = client.post("/mpesa/stk_push_callback/", body, content_type="application/json")
        assert answer.status_code in {200, 413}
    payment.refresh_from_db()
    assert (payment.status, payment.version, Order.objects.get().status) == ("PENDING", 1, "OPEN")
