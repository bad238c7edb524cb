"""A browser's own list of payments: signed, without anything personal, and only what it began itself."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import Client

from payments.models import Transaction
from payments.remembered import COOKIE, COOKIE_AGE, COOKIE_KEPT, recent_ids, recent_payments, remember_payment
from tests.factories import make_order, make_transaction, new_phone_number

pytestmark = pytest.mark.django_db


def _request(cookie: str) -> HttpRequest:
    request = HttpRequest()
    request.COOKIES[COOKIE] = cookie
    return request


def _remember(*ids: uuid.UUID) -> HttpRequest:
    request = _request("")
    for transaction_id in ids:
        response = HttpResponse()
        remember_payment(request, response, transaction_id)
        request = _request(response.cookies[COOKIE].value)
    return request


def test_the_newest_comes_first_and_few_are_kept() -> None:
    ids = [uuid.uuid4() for _ in range(COOKIE_KEPT + 2)]
    assert recent_ids(_remember(*ids)) == list(reversed(ids))[:COOKIE_KEPT]
    assert recent_ids(_remember(ids[0], ids[1], ids[0])) == [ids[0], ids[1]]


@pytest.mark.parametrize("forged", ["", "x", signing.dumps(["no id"], salt=COOKIE), signing.dumps([uuid.uuid4().hex])])
def test_what_is_not_ours_lists_nothing(forged: str) -> None:
    assert recent_ids(_request(forged)) == []


def test_after_a_day_it_lists_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    request, then = _remember(uuid.uuid4()), time.time()
    assert recent_ids(request)
    monkeypatch.setattr("django.core.signing.time.time", lambda: then + COOKIE_AGE.total_seconds() + 2)
    assert recent_ids(request) == []


def test_of_several_attempts_at_one_order_the_last_is_listed() -> None:
    order = make_order()
    first = make_transaction(order=order, status="FAILED", reason="cancelled")
    second, other = make_transaction(order=order), make_transaction()
    listed = recent_payments(_remember(first.pk, other.pk, second.pk))
    assert listed == [second, other]


def test_a_form_remembers_and_json_does_not(client: Client, daraja: Any) -> None:
    order = make_order()
    client.post("/payments/stk-push/", {"order_id": str(order.pk), "phone_number": new_phone_number()})
    assert recent_ids(_request(client.cookies[COOKIE].value)) == [Transaction.objects.get().pk]
    assert client.cookies[COOKIE]["httponly"]
    assert client.cookies[COOKIE]["samesite"] == "Lax"
    machine = Client()
    body = {"order_id": str(make_order().pk), "phone_number": new_phone_number()}
    machine.post("/payments/stk-push/", body, content_type="application/json")
    assert COOKIE not in machine.cookies
