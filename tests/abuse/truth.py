"""What the contract says of a body, in other words than the parser's."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from payments.models import Transaction

# The codes that fail a payment on their own; 500.003.02 and the like come with a push, not with a callback.
FAILURES = {
    *("1", "2", "3", "4", "8", "17", "21", "26", "1001", "1019", "1025", "1031", "1032", "1036", "1037"),
    *("1101", "1102", "2001", "2006", "2028", "8006", "9999", "SFC_IC0003", "500.003.02", "500.003.03"),
}


def _told(body: bytes) -> dict[str, Any]:
    """Return the callback inside `body`; raises one of many errors for what is none."""
    return dict(json.loads(body.decode("utf-8"), parse_float=Decimal)["Body"]["stkCallback"])


def really_pays(body: bytes, payment: Transaction) -> bool:
    """Say what the contract says, in other words than the parser's: is this this payment's own success?"""
    try:
        told = _told(body)
        items = told["CallbackMetadata"]["Item"]
        amounts = [Decimal(str(item["Value"])) for item in items if item.get("Name") == "Amount" and "Value" in item]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return False
    code = told.get("ResultCode")
    is_success = code == "0" or (type(code) is int and code == 0)
    ids = told.get("CheckoutRequestID") == payment.checkout_request_id
    return is_success and ids and payment.amount in amounts


def really_fails(body: bytes, payment: Transaction) -> bool:
    """Say whether this is a failure of this payment that the contract lists."""
    try:
        told = _told(body)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    code, words = told.get("ResultCode"), str(told.get("ResultDesc")).lower()
    is_listed = str(code) in FAILURES and type(code) in {int, str}
    return told.get("CheckoutRequestID") == payment.checkout_request_id and (is_listed or "unable to lock" in words)


def really_confirms(body: bytes, receipt: str) -> bool:
    """Say whether M-PESA answers here that this receipt is 1,500 KES that have come to us."""
    try:
        told = json.loads(body.decode("utf-8"), parse_float=Decimal)["Result"]
        listed = told["ResultParameters"]["ResultParameter"]
        values = {item["Key"]: item.get("Value") for item in listed}
        amount = Decimal(str(values.get("Amount")))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return False
    code, named = told.get("ResultCode"), str(values.get("ReceiptNo"))
    is_success = code == "0" or (type(code) is int and code == 0)
    is_another = bool(re.fullmatch(r"[A-Z0-9]{10}", named)) and named != receipt
    is_ours = str(values.get("CreditPartyName") or "174379").startswith("174379")
    return (
        is_success and not is_another and is_ours and amount == 1500 and values.get("TransactionStatus") == "Completed"
    )
