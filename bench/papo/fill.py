"""Write payments that Daraja has accepted: `python -m bench.papo.fill <count>`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import django
from django.db.transaction import atomic

from bench.payments import AMOUNT, Payment, hand_over, success


def fill(count: int) -> Iterator[Payment]:
    from payments.callback_token import make_callback_token
    from tests.factories import make_order, make_product, make_transaction

    with atomic():
        product = make_product(price=AMOUNT)
        written = [make_transaction(order=make_order(product=product)) for _ in range(count)]
    for number, payment in enumerate(written):
        body = success(
            checkout_request_id=payment.checkout_request_id or "",
            merchant_request_id=payment.merchant_request_id or "",
            phone_number=payment.phone_number,
            receipt=f"SK{number:08d}",
        )
        socket = f"/ws/payments/{payment.pk}/?format=json"
        yield Payment(socket, f"/payments/callback/{make_callback_token(payment.pk)}/", body)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    hand_over(fill(int(sys.argv[1])))
