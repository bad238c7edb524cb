"""Rows for tests, each with what the test does not care about filled in. Amounts are whole KES."""

from __future__ import annotations

import itertools
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from payments.models import Status, Transaction
from shop.models import Order, OrderLine, Product

_numbers = itertools.count(1)


def make_product(*, price: int = 1500, **fields: Any) -> Product:
    number = next(_numbers)
    return Product.objects.create(**{"sku": f"item-{number}", "name": f"Item {number}", "price": price, **fields})


def make_order(*, amount: int = 1500, quantity: int = 1, product: Product | None = None, **fields: Any) -> Order:
    """Create an order of one line; with a `product` its price decides and `amount` is not used."""
    product = product or make_product(price=amount)
    order = Order.objects.create(amount=product.price * quantity, **fields)
    OrderLine.objects.create(
        order=order, product=product, name=product.name, unit_price=product.price, quantity=quantity
    )
    return order


def new_phone_number() -> str:
    """Return a number that no other payment of the run has: one open prompt per phone is a rule of the database."""
    return f"2547{next(_numbers):08d}"


def new_checkout_request_id() -> str:
    return f"ws_CO_{timezone.localtime():%d%m%Y%H%M%S}{next(_numbers):012d}"


def make_transaction(*, order: Order | None = None, **fields: Any) -> Transaction:
    """Create a payment whose prompt Daraja has just accepted; FAILED ones need a `reason`, as in the database."""
    payment = new_transaction(order=order or make_order(), **fields)
    payment.save(force_insert=True)
    return payment


def new_transaction(*, order: Order, **fields: Any) -> Transaction:
    """Return such a payment, not saved yet."""
    now = timezone.now()
    defaults = {
        "environment": settings.MPESA_ENVIRONMENT,
        "business_short_code": settings.MPESA_SHORTCODE,
        "phone_number": new_phone_number(),
        "amount": order.amount_due or order.amount,
        "account_reference": secrets.token_hex(6).upper(),
        "merchant_request_id": f"29115-{next(_numbers)}-1",
        "checkout_request_id": new_checkout_request_id(),
        "status": Status.PENDING,
        "prompted_at": now,
        "expires_at": now + timedelta(seconds=settings.MPESA_EXPIRE_AFTER_SECONDS),
        "check_after": now + timedelta(seconds=settings.MPESA_QUERY_AFTER_SECONDS),
    }
    return Transaction(order=order, **{**defaults, **fields})
