"""Make the naive shop's tables and write payments: `python -m bench.naive.fill <count>`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import django
from django.core.management import call_command

from bench.payments import AMOUNT, Payment, hand_over, numbered_success


def fill(count: int) -> Iterator[Payment]:
    from bench.naive.models import Transaction

    call_command("migrate", run_syncdb=True, verbosity=0)
    bodies = [numbered_success(number) for number in range(count)]
    names = [body["Body"]["stkCallback"]["CheckoutRequestID"] for body in bodies]
    Transaction.objects.bulk_create([Transaction(checkout_request_id=name, amount=AMOUNT) for name in names])
    for name, body in zip(names, bodies, strict=True):
        yield Payment(f"/ws/payments/{name}/", "/mpesa/callback/", body)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.naive.settings"
    django.setup()
    hand_over(fill(int(sys.argv[1])))
