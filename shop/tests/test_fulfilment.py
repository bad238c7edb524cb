from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from shop.models import Order
from shop.orders import UNDO_WITHIN, OrderRefused, place_counter_sale, take_step, take_step_back
from tests.factories import make_order

pytestmark = pytest.mark.django_db

Fulfilment = Order.Fulfilment


@pytest.fixture
def paid() -> Order:
    return make_order(status="PAID", amount_paid=1500, paid_at=timezone.now())


def test_a_paid_order_is_packed_and_then_handed_over_once(paid: Order) -> None:
    assert not take_step(paid.pk, Fulfilment.HANDED_OVER)
    assert [take_step(paid.pk, Fulfilment.PACKED), take_step(paid.pk, Fulfilment.PACKED)] == [True, False]
    assert [take_step(paid.pk, Fulfilment.HANDED_OVER), take_step(paid.pk, Fulfilment.HANDED_OVER)] == [True, False]
    paid.refresh_from_db()
    assert (paid.fulfilment, paid.status) == ("handed_over", "PAID")
    assert paid.packed_at <= paid.handed_over_at


@pytest.mark.parametrize("status", ["OPEN", "CANCELLED"])
def test_what_is_not_paid_is_not_packed(status: str) -> None:
    assert not take_step(make_order(status=status).pk, Fulfilment.PACKED)


def test_a_press_by_mistake_is_taken_back(paid: Order) -> None:
    take_step(paid.pk, Fulfilment.PACKED)
    assert not take_step_back(paid.pk, Fulfilment.HANDED_OVER)
    assert take_step_back(paid.pk, Fulfilment.PACKED)
    paid.refresh_from_db()
    assert (paid.fulfilment, paid.packed_at) == ("to_pack", None)


def test_what_is_long_gone_is_not_taken_back(paid: Order) -> None:
    take_step(paid.pk, Fulfilment.PACKED)
    Order.objects.filter(pk=paid.pk).update(packed_at=timezone.now() - UNDO_WITHIN - timedelta(seconds=1))
    assert not take_step_back(paid.pk, Fulfilment.PACKED)


def test_a_counter_sale_is_an_order_without_lines_whose_goods_are_gone(django_user_model: Any) -> None:
    seller = django_user_model.objects.create_user("asha")
    order = place_counter_sale(350, what="Two mandazi", sold_by=seller)
    assert (order.amount, order.status, order.fulfilment) == (350, "OPEN", "handed_over")
    assert (str(order.counter_sale), order.counter_sale.sold_by) == ("Two mandazi", seller)
    assert not order.lines.exists()


@pytest.mark.parametrize("amount", [0, -1, 250_001])
def test_a_counter_sale_is_within_what_m_pesa_takes(amount: int) -> None:
    with pytest.raises(OrderRefused):
        place_counter_sale(amount)
    assert not Order.objects.exists()


def test_order_page_and_receipt_say_what_was_sold(client: Any) -> None:
    order = place_counter_sale(350, what="Two mandazi")
    assert "Two mandazi" in client.get(f"/orders/{order.pk}/").text
