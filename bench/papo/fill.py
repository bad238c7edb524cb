"""Write payments that Daraja has accepted: `python -m bench.papo.fill <count>`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import django
from django.db.transaction import atomic

from bench.payments import AMOUNT, Payment, hand_over, success

AT_ONCE = 500  # rows in a statement


def fill(count: int) -> Iterator[Payment]:
    from payments.callback_token import make_callback_token

    with atomic():
        written = _write(count)
    for number, payment in enumerate(written):
        body = success(
            checkout_request_id=payment.checkout_request_id or "",
            merchant_request_id=payment.merchant_request_id or "",
            phone_number=payment.phone_number,
            receipt=f"SK{number:08d}",
        )
        socket = f"/ws/payments/{payment.pk}/?format=json"
        yield Payment(socket, f"/payments/callback/{make_callback_token(payment.pk)}/", body)


def _write(count: int) -> list[Any]:
    """Write orders of one line and their payments, many in a statement."""
    from payments.models import Transaction
    from shop.models import Order, OrderLine
    from tests.factories import make_product, new_transaction

    product = make_product(price=AMOUNT)
    orders = Order.objects.bulk_create([Order(amount=AMOUNT) for _ in range(count)], AT_ONCE)
    lines = [
        OrderLine(order=each, product=product, name=product.name, unit_price=AMOUNT, quantity=1) for each in orders
    ]
    OrderLine.objects.bulk_create(lines, AT_ONCE)
    return Transaction.objects.bulk_create([new_transaction(order=each) for each in orders], AT_ONCE)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    hand_over(fill(int(sys.argv[1])))
