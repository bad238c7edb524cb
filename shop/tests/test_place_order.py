from __future__ import annotations

import pytest

from shop.models import LARGEST_AMOUNT, Order, Product
from shop.orders import OrderRefused, order_document, place_order


def test_an_order_keeps_the_prices_of_its_day(tea, lamp):
    order = place_order([("tea", 3), ("lamp", 1)])
    Product.objects.update(price=1, name="Renamed")
    assert order.amount == 3 * 160 + 2_950
    assert [(line.name, line.unit_price, line.quantity, line.total) for line in order.lines.all()] == [
        ("Tea", 160, 3, 480),
        ("Lamp", 2_950, 1, 2_950),
    ]


def test_a_new_order_is_open_and_owes_everything(tea):
    order = place_order([("tea", 1)])
    order.refresh_from_db()
    assert (order.status, order.amount_paid, order.amount_due, order.paid_at) == ("OPEN", 0, 160, None)
    assert len(order.account_number) == 8


def test_the_document_has_exactly_the_promised_keys(order, settings):
    settings.PUBLIC_BASE_URL = "https://shop.example"
    assert order_document(order) == {
        "order_id": str(order.pk),
        "amount": 320,
        "amount_paid": 0,
        "amount_due": 320,
        "currency": "KES",
        "status": "OPEN",
        "url": f"https://shop.example/orders/{order.pk}/",
    }


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], "items"),
        ([(f"sku-{index}", 1) for index in range(51)], "items"),
        ([("tea", 1), ("tea", 2)], "items[1].sku"),
        ([("tea", 0)], "items[0].quantity"),
        ([("tea", -1)], "items[0].quantity"),
        ([("tea", 100)], "items[0].quantity"),
        ([("tea", 1), ("nothing", 1)], "items[1].sku"),
        ([("TEA", 1)], "items[0].sku"),
        ([("tea\x00", 1)], "items[0].sku"),
        ([("", 1)], "items[0].sku"),
        ([("t" * 41, 1)], "items[0].sku"),
    ],
)
def test_what_makes_no_order_names_its_field(tea, items, field):
    with pytest.raises(OrderRefused) as caught:
        place_order(items)
    assert caught.value.field == field
    assert not Order.objects.exists()


def test_what_is_no_longer_sold_makes_no_order(tea):
    Product.objects.update(is_active=False)
    with pytest.raises(OrderRefused, match="does not sell"):
        place_order([("tea", 1)])


@pytest.mark.parametrize(("quantity", "is_taken"), [(10, True), (11, False)])
def test_the_total_ends_where_mpesa_ends(db, quantity, is_taken):
    Product.objects.create(sku="boda", name="Boda", price=LARGEST_AMOUNT // 10)
    if is_taken:
        assert place_order([("boda", quantity)]).amount == LARGEST_AMOUNT
    else:
        with pytest.raises(OrderRefused, match="250,000") as caught:
            place_order([("boda", quantity)])
        assert caught.value.field == "items"


def test_fifty_lines_are_an_order(db):
    Product.objects.bulk_create(Product(sku=f"sku-{index}", name="Thing", price=1) for index in range(50))
    assert place_order([(f"sku-{index}", 1) for index in range(50)]).amount == 50
