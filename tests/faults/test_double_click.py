"""Eight requests at once: however they collide, one phone is prompted once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from payments.checkout import Checkout, CheckoutRefused, start_checkout
from payments.models import Transaction
from payments.tests.conftest import FakeDaraja
from tests.factories import make_order, new_phone_number
from tests.faults.crowd import crowd

pytestmark = pytest.mark.django_db(transaction=True)

CLICKS, ROUNDS = 8, 12
Asked = list[tuple[UUID, str]]


def _click_at_once(wanted: Callable[[], Asked]) -> list[tuple[list[Checkout], list[str]]]:
    """Return for every round the checkouts that came back and the codes of the refusals."""
    rounds = []
    with crowd(CLICKS) as customers:
        for _round in range(ROUNDS):
            clicks = [lambda order=order, phone=phone: start_checkout(order, phone) for order, phone in wanted()]
            answers = customers.do(clicks)
            checkouts = [answer for answer in answers if isinstance(answer, Checkout)]
            codes = [answer.code for answer in answers if isinstance(answer, CheckoutRefused)]
            assert len(checkouts) + len(codes) == CLICKS, answers
            rounds.append((checkouts, codes))
    return rounds


def test_eight_clicks_on_one_order_prompt_once_and_all_get_that_payment(daraja: FakeDaraja) -> None:
    rounds = _click_at_once(lambda: [(make_order().pk, new_phone_number())] * CLICKS)
    for checkouts, _codes in rounds:
        assert len(checkouts) == CLICKS
        assert len({checkout.payment.pk for checkout in checkouts}) == 1
        assert sum(checkout.is_new for checkout in checkouts) == 1
    assert len(daraja.pushes) == ROUNDS


def test_eight_phones_for_one_order_open_one_payment(daraja: FakeDaraja) -> None:
    def one_order() -> Asked:
        order = make_order()
        return [(order.pk, new_phone_number()) for _click in range(CLICKS)]

    for checkouts, codes in _click_at_once(one_order):
        assert (len(checkouts), codes) == (1, ["payment_open"] * (CLICKS - 1))
    assert len(daraja.pushes) == Transaction.objects.count() == ROUNDS


def test_one_phone_for_eight_orders_gets_one_prompt(daraja: FakeDaraja) -> None:
    def one_phone() -> Asked:
        phone = new_phone_number()
        return [(make_order().pk, phone) for _click in range(CLICKS)]

    for checkouts, codes in _click_at_once(one_phone):
        assert (len(checkouts), codes) == (1, ["phone_busy"] * (CLICKS - 1))
    assert len(daraja.pushes) == Transaction.objects.count() == ROUNDS
