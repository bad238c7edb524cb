"""Several people at once on one payment: its money goes out once, and never more than was paid."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Sum

from payments import refunds
from payments.daraja import operator
from payments.daraja.operator import Acknowledged
from payments.models import Refund, Status, Transaction
from payments.refunds import sending
from tests.factories import make_transaction
from tests.faults.crowd import crowd

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 6
ROUNDS = 8


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What M-PESA was asked to reverse."""
    receipts: list[str] = []

    def reversal(**fields: Any) -> Acknowledged:
        receipts.append(fields["receipt"])
        return Acknowledged("29115-1-1", "AG_1")

    monkeypatch.setattr(operator, "reversal", reversal)
    return receipts


@pytest.fixture
def wanjiru() -> User:
    user = User.objects.create_user("wanjiru", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="refund_transaction"))
    return user


def make_paid(number: int) -> Transaction:
    return make_transaction(status=Status.COMPLETED, mpesa_receipt_number=f"UKP000000{number}")


def press_at_once(number: int, wanjiru: User, people: Any) -> None:
    refund = refunds.request_reversal(make_paid(number).pk, amount=1500, reason="Paid twice", by=wanjiru)
    copies = [Refund.objects.select_related("transaction").get(pk=refund.pk) for _ in range(PEOPLE)]
    people.do([lambda copy=copy: refunds.send(copy) for copy in copies])


def test_whoever_presses_at_once_sends_once(asked: list[str], wanjiru: User) -> None:
    with crowd(PEOPLE) as people:
        for number in range(ROUNDS):
            press_at_once(number, wanjiru, people)
    assert len(asked) == len(set(asked)) == ROUNDS


def test_without_the_claim_it_would_be_sent_more_than_once(
    asked: list[str], wanjiru: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above could not fail otherwise."""
    monkeypatch.setattr(
        sending,
        "_claim",
        lambda refund: sending.asking.begin(
            sending.Conversation.Kind.REVERSAL,
            receipt=refund.transaction.mpesa_receipt_number or "",
            purpose=sending.PURPOSE,
            subject=str(refund.pk),
        ),
    )
    with crowd(PEOPLE) as people:
        press_at_once(0, wanjiru, people)
    assert len(asked) > 1


def test_who_notes_at_once_notes_no_more_than_was_paid(wanjiru: User) -> None:
    with crowd(PEOPLE) as people:
        for number in range(ROUNDS):
            payment = make_paid(number)
            note = partial(refunds.record_by_hand, payment.pk, amount=1000, reason="cash", by=wanjiru)
            people.do([note] * PEOPLE)
            payment.refresh_from_db()
            noted = payment.refunds.aggregate(amount=Sum("amount"))["amount"]
            assert (payment.refunded_amount, noted, payment.version) == (1000, 1000, 2)
