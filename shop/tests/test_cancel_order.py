from __future__ import annotations

import pytest
from django.db.transaction import atomic

from shop.orders import cancel_order, mark_paid
from shop.outcomes import OrderNotCancellable


def test_an_open_order_is_cancelled(order):
    cancel_order(order)
    assert order.status == "CANCELLED"
    assert order.cancelled_at is not None


def test_cancelling_twice_changes_nothing(order):
    cancel_order(order)
    cancelled_at = order.cancelled_at
    cancel_order(order)
    assert order.cancelled_at == cancelled_at


def test_an_order_is_not_cancelled_while_a_payment_is_open(order, begin_payment):
    begin_payment(order)
    with pytest.raises(OrderNotCancellable, match="open on a phone"):
        cancel_order(order)
    order.refresh_from_db()
    assert order.status == "OPEN"


def test_a_failed_payment_does_not_keep_an_order_open(order, begin_payment):
    begin_payment(order, "FAILED")
    cancel_order(order)
    assert order.status == "CANCELLED"


@pytest.mark.parametrize(("amount", "status"), [(320, "PAID"), (1, "OPEN")])
def test_an_order_for_which_money_came_is_not_cancelled(order, amount, status):
    with atomic():
        mark_paid(order.pk, amount)
    with pytest.raises(OrderNotCancellable):
        cancel_order(order)
    order.refresh_from_db()
    assert order.status == status
