"""Make the naive shop's tables and write payments: `python -m bench.naive.fill <count>`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import django
from django.core.management import call_command
from django.utils import timezone

from bench.payments import AMOUNT, Payment, hand_over, numbered_success

SESSION = timedelta(hours=1)


def fill(count: int) -> Iterator[Payment]:
    """Write payments, each of a customer of its own who has logged in."""
    from bench.naive.models import Transaction

    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)  # Django makes tables without migrations before all others
    bodies = [numbered_success(number) for number in range(count)]
    names = [body["Body"]["stkCallback"]["CheckoutRequestID"] for body in bodies]
    customers = _customers(count)
    Transaction.objects.bulk_create(
        [
            Transaction(checkout_request_id=name, amount=AMOUNT, customer=customer)
            for name, customer in zip(names, customers, strict=True)
        ]
    )
    for name, body, session in zip(names, bodies, _sessions(customers), strict=True):
        yield Payment(f"/ws/payments/{name}/", "/mpesa/callback/", body, {"Cookie": f"sessionid={session}"})


def _customers(count: int) -> list[Any]:
    from django.contrib.auth.models import User

    return User.objects.bulk_create([User(username=f"customer{number}") for number in range(count)])


def _sessions(customers: Sequence[Any]) -> list[str]:
    """Return the keys of sessions as `login` begins them, written at once: one by one takes minutes."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    store, ends = SessionStore(), timezone.now() + SESSION
    rows = []
    for customer in customers:
        told = {
            SESSION_KEY: str(customer.pk),
            BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
            HASH_SESSION_KEY: customer.get_session_auth_hash(),
        }
        rows.append(
            Session(session_key=f"customer{customer.pk:032d}", session_data=store.encode(told), expire_date=ends)
        )
    return [row.session_key for row in Session.objects.bulk_create(rows)]


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.naive.settings"
    django.setup()
    hand_over(fill(int(sys.argv[1])))
