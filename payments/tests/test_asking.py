"""A customer who wants to know has Daraja asked out of turn, seldom, and only where no end is proven."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from payments.asking import ASK_AGAIN, ask_for_customer
from payments.models import Reason, Status, Transaction
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db


def _waiting(**fields: Any) -> Transaction:
    return make_transaction(**{"check_after": timezone.now() + timedelta(seconds=30), **fields})


def test_it_is_asked_about_in_the_next_pass() -> None:
    payment = _waiting()
    assert ask_for_customer(payment.pk)
    payment.refresh_from_db()
    assert payment.check_after == payment.hinted_at
    assert payment.check_after <= timezone.now()


def test_it_is_not_asked_about_again_so_soon() -> None:
    payment = _waiting(hinted_at=timezone.now())
    assert not ask_for_customer(payment.pk)
    Transaction.objects.filter(pk=payment.pk).update(hinted_at=timezone.now() - ASK_AGAIN)
    assert ask_for_customer(payment.pk)


def test_what_is_due_anyway_stays_as_it_is() -> None:
    assert not ask_for_customer(_waiting(check_after=timezone.now()).pk)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.COMPLETED},
        {"status": Status.FAILED, "reason": Reason.CANCELLED},
        {"checkout_request_id": None},
        {"environment": "production"},
    ],
)
def test_what_is_proven_or_has_no_id_is_not_asked_about(fields: dict[str, Any]) -> None:
    assert not ask_for_customer(_waiting(**fields).pk)


def test_the_button_leads_back_to_the_page(client: Client) -> None:
    payment = _waiting()
    response = client.post(f"/payments/{payment.pk}/check/")
    assert (response.status_code, response["Location"]) == (303, f"/payments/{payment.pk}/")
    assert "We have asked M-PESA." in client.get(response["Location"]).content.decode()
    assert client.get(f"/payments/{payment.pk}/check/").status_code == 405
