"""What tests of payments by hand share: confirmations as M-PESA words them, and M-PESA's own word about a receipt."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

from django.conf import settings

from payments.c2b import inbox, verification
from payments.c2b.verification import Told
from payments.models import Confirmation
from shop.models import Order

_numbers = itertools.count(1)


def new_receipt() -> str:
    return f"UKP{next(_numbers):07d}"


def confirmation_body(account: str, amount: object, *, receipt: str = "", **changes: Any) -> bytes:
    """Return a C2B confirmation: every value a string, the payer masked."""
    told = {
        "TransactionType": "Pay Bill",
        "TransID": receipt or new_receipt(),
        "TransTime": "20261125224512",
        "TransAmount": f"{amount}.00",
        "BusinessShortCode": settings.MPESA_SHORTCODE,
        "BillRefNumber": account,
        "InvoiceNumber": "",
        "OrgAccountBalance": "49197.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 126",
        "FirstName": "WANJIKU",
        **changes,
    }
    return json.dumps({name: value for name, value in told.items() if value is not None}).encode()


def pay_by_hand(order: Order, amount: int | None = None, *, receipt: str = "") -> Confirmation:
    """Have a payment by hand announced and confirmed by M-PESA; return its confirmation."""
    receipt = receipt or new_receipt()
    announce(order.account_number, amount or order.amount_due, receipt=receipt)
    hear(receipt, amount or order.amount_due)
    order.refresh_from_db()
    return Confirmation.objects.filter(trans_id=receipt).latest("pk")


def announce(account: str, amount: object, **changes: Any) -> Confirmation:
    """Post a confirmation and return its row."""
    body = confirmation_body(account, amount, **changes)
    assert inbox.receive(body, "196.201.214.200")
    return Confirmation.objects.latest("pk")


def hear(receipt: str, amount: int | None = None, **told: Any) -> None:
    """Let M-PESA say that this receipt is real; without an amount, that there is no such payment."""
    outcome = "denied" if amount is None else "completed"
    verification.hear(Told(receipt, outcome, None if amount is None else Decimal(amount), **told))
