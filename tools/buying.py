"""A payment to look at: what the tools that need a shop with a customer share."""

from __future__ import annotations

import secrets

import requests

PAYS, DOES_NOT_ANSWER = "0712 000 008", "0712 000 004"  # simulator/scenarios.py


def any_number() -> str:
    """Return a phone number whose owner has to be asked."""
    return f"0722 {secrets.randbelow(900) + 100} {secrets.randbelow(900) + 100}"


def pay(base: str, phone_number: str, *, until_paid: bool = False) -> str:
    """Order something at the shop of `base` and ask for its payment; return the payment's address."""
    order = requests.post(f"{base}/api/orders/", json={"items": [{"sku": "kiondo", "quantity": 1}]}, timeout=10).json()
    asked = {"order_id": order["order_id"], "phone_number": phone_number}
    payment = requests.post(f"{base}/payments/stk-push/", json=asked, timeout=10).json()["transaction_id"]
    if until_paid:
        held = f"{base}/payments/status/?transaction_id={payment}&since=1&wait=20"
        requests.get(held, timeout=30).raise_for_status()
    return f"{base}/payments/{payment}/"
