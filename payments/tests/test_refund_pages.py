"""The supervisor's pages: what should go back, the form, the second person, and what nobody knows."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.history import open_discrepancy
from payments.models import Discrepancy, Refund, Status, Transaction
from payments.tests.conftest import raising
from payments.tests.test_refunds import Reversals, make_supervisor, mpesa  # noqa: F401 - a fixture
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment() -> Transaction:
    return make_transaction(status=Status.COMPLETED, mpesa_receipt_number="UKP7R2X0QD")


@pytest.fixture
def supervisor(client: Any) -> User:
    user = make_supervisor()
    client.force_login(user)
    return user


def form(**changes: Any) -> dict[str, Any]:
    typed = {"amount": "1500", "reason": "Paid twice", "method": "reversal", "reference": ""}
    return {**typed, "key": str(uuid.uuid4()), **changes}


def prepare_url(payment: Transaction) -> str:
    return f"/admin/payments/refund/for/{payment.pk}/"


def decide(client: Any, refund: Refund, **data: str) -> str:
    response = client.post(f"/admin/payments/refund/{refund.pk}/decide/", data, follow=True)
    assert response.status_code == 200
    refund.refresh_from_db()
    return str(response.content.decode())


def test_from_the_list_to_the_money(client: Any, supervisor: User, payment: Transaction) -> None:
    open_discrepancy(payment, Discrepancy.Kind.SURPLUS, amount=1500)
    assert prepare_url(payment) in client.get("/admin/payments/refund/").content.decode()
    page = client.get(prepare_url(payment)).content.decode()
    assert 'value="Paid twice"' in page
    assert 'name="amount" value' not in page  # the person types it
    response = client.post(prepare_url(payment), form(), follow=True)
    refund = Refund.objects.get()
    assert (refund.state, refund.requested_by, refund.amount) == ("accepted", supervisor, 1500)
    assert "M-PESA is at it" in response.content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"amount": "1501"}, "at most KES 1,500"), ({"amount": ""}, "required"), ({"reason": ""}, "required")],
)
def test_a_form_that_makes_no_sense_says_so(
    client: Any, supervisor: User, payment: Transaction, changes: dict[str, str], words: str
) -> None:
    assert words in client.post(prepare_url(payment), form(**changes)).content.decode()
    assert not Refund.objects.exists()


def test_by_hand_is_the_same_object(client: Any, supervisor: User, payment: Transaction) -> None:
    client.post(prepare_url(payment), form(method="by_hand", reference="till 3"))
    refund = Refund.objects.get()
    assert (refund.state, refund.receipt) == ("done", "till 3")
    assert "Nothing of this payment can go back" in client.get(prepare_url(payment)).content.decode()


def test_a_form_that_is_sent_twice_is_one_refund(client: Any, supervisor: User, payment: Transaction) -> None:
    for method in ("by_hand", "reversal"):
        once = form(method=method, amount="500")
        for _ in range(2):
            client.post(prepare_url(payment), once)
    assert sorted(Refund.objects.values_list("method", "amount")) == [("by_hand", 500), ("reversal", 500)]


def test_nobody_else_comes_in(client: Any, payment: Transaction) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(prepare_url(payment)).status_code == 403
    assert client.post(prepare_url(payment), form()).status_code == 403
    assert not Refund.objects.exists()


def test_the_second_person_finds_a_button(client: Any, supervisor: User, payment: Transaction, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 0
    page = client.post(prepare_url(payment), form(), follow=True).content.decode()
    assert "A second person has to approve" in page
    refund = Refund.objects.get()
    assert "Waiting for a person" in client.get("/admin/payments/refund/").content.decode()
    assert "somebody other than" in decide(client, refund, decision="approve")
    client.force_login(make_supervisor("kamau"))
    decide(client, refund, decision="approve")
    assert refund.state == "accepted"


def test_what_is_unknown_is_settled_with_a_reason(
    client: Any,
    supervisor: User,
    payment: Transaction,
    mpesa: Reversals,  # noqa: F811
) -> None:
    from payments.daraja.client import OutcomeUnknown

    mpesa.answer = raising(OutcomeUnknown("ReadTimeout"))
    page = client.post(prepare_url(payment), form(), follow=True).content.decode()
    assert "Nobody knows whether this went back" in page
    refund = Refund.objects.get()
    assert "Say why" in decide(client, refund, decision="done")
    assert refund.state == "unknown"
    decide(client, refund, decision="done", why="seen in the portal", receipt="UKP0000009")
    assert (refund.state, refund.receipt) == ("done", "UKP0000009")


def test_a_decision_is_a_post_and_one_we_know(client: Any, supervisor: User, payment: Transaction) -> None:
    client.post(prepare_url(payment), form())
    url = f"/admin/payments/refund/{Refund.objects.get().pk}/decide/"
    assert client.get(url).status_code == 404
    assert client.post(url, {"decision": "burn", "why": "x"}).status_code == 404
