from __future__ import annotations

import pytest
from django.db.models import ProtectedError
from django.db.transaction import atomic

from shop.models import Order, OrderIsFixed, OrderLine


@pytest.fixture(params=["PENDING", "FAILED", "COMPLETED"])
def begun(request, order, begin_payment):
    begin_payment(order, request.param)
    return order


def test_its_amount_stays(begun):
    begun.amount += 1
    with pytest.raises(OrderIsFixed):
        begun.save()
    with pytest.raises(OrderIsFixed):
        begun.save(update_fields=["amount"])
    assert Order.objects.get().amount == 320


def test_it_is_kept(begun):
    with pytest.raises(OrderIsFixed):
        begun.delete()
    with pytest.raises(ProtectedError):
        Order.objects.all().delete()
    assert Order.objects.exists()


def test_its_lines_stay(begun):
    line = begun.lines.get()
    line.quantity = 1
    for write in (line.save, line.delete, begun.lines.all().delete, lambda: begun.lines.update(quantity=1)):
        with pytest.raises(OrderIsFixed):
            write()
    assert OrderLine.objects.get().quantity == 2


def test_no_line_is_added_or_moved_away(begun, lamp, tea):
    with pytest.raises(OrderIsFixed):
        begun.lines.create(product=lamp, name="Lamp", unit_price=1, quantity=1)
    with pytest.raises(OrderIsFixed):
        OrderLine.objects.bulk_create([OrderLine(order=begun, product=lamp, name="L", unit_price=1, quantity=1)])
    line = begun.lines.get()
    line.order = Order.objects.create(amount=1)
    with pytest.raises(OrderIsFixed):
        line.save()
    line.quantity = 7
    with pytest.raises(OrderIsFixed), atomic():
        OrderLine.objects.bulk_update([line], ["quantity", "order"])
    assert [line.product for line in begun.lines.all()] == [tea]


def test_who_ordered_may_still_be_put_right(begun):
    begun.customer_name = "Wanjiku Mwangi"
    begun.save()
    assert Order.objects.get().customer_name == "Wanjiku Mwangi"


def test_an_order_without_a_payment_may_still_change(order):
    order.amount = 160
    order.save()
    order.lines.update(quantity=1)
    order.lines.get().delete()
    order.delete()
    assert not Order.objects.exists()
