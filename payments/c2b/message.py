"""What M-PESA posts about money that came to the PayBill or till, read strictly. No I/O.

All values are strings, and every one may be missing or odd. MSISDN is masked (`2547 ***** 126`), in older versions a
hash; names are not read at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import strict_json
from payments.daraja.results import amount_or_none
from shop.models import LARGEST_AMOUNT

LONGEST_REFERENCE = 20  # characters, as M-PESA's menu takes them

_TRANS_ID = re.compile(r"[A-Z0-9]{8,20}")
_SHORT_CODE = re.compile(r"[0-9]{1,7}")
_MSISDN = re.compile(r"254[17][0-9*]{5}[0-9]{3}")
_UNTYPED = re.compile(r"[\s\-.]")


class NotAConfirmation(ValueError):
    """The body tells of no payment; the text says why, for staff."""


@dataclass(frozen=True)
class Message:
    """One confirmation, or one request to validate. `amount`: whole KES, None where it is none that can be counted."""

    trans_id: str
    amount: int | None
    bill_ref_number: str
    business_short_code: str
    msisdn: str

    @property
    def account(self) -> str:
        return account_named(self.bill_ref_number)


def account_named(typed: str) -> str:
    """Return an account number as it stands in the database, however the payer wrote it: 7qk3-m9tx, 7QK3 M9TX."""
    return _UNTYPED.sub("", typed).upper()


def parse_message(body: bytes) -> Message:
    """Return what `body` tells. Raises NotAConfirmation, and nothing else whatever the bytes are."""
    try:
        value = strict_json.read(body)
    except strict_json.NotJson as error:
        raise NotAConfirmation(str(error)) from None
    if not isinstance(value, dict):
        raise NotAConfirmation("body is not an object")
    return Message(
        trans_id=_text(value, "TransID", _TRANS_ID),
        amount=whole_kes(amount_or_none(value.get("TransAmount"))),
        bill_ref_number=_reference(value.get("BillRefNumber")),
        business_short_code=_text(value, "BusinessShortCode", _SHORT_CODE),
        msisdn=visible_digits(value.get("MSISDN")),
    )


def _text(value: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    text = value.get(name)
    text = str(text) if isinstance(text, int) and not isinstance(text, bool) else text
    if not isinstance(text, str) or not form.fullmatch(text):
        raise NotAConfirmation(f"no {name}")
    return text


def whole_kes(amount: Decimal | None) -> int | None:
    """Return an amount that an order can be paid with; None for cents, nothing, or more than M-PESA moves."""
    if amount is None or amount != amount.to_integral_value() or not 1 <= amount <= LARGEST_AMOUNT:
        return None
    return int(amount)


def _reference(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text.strip()[:LONGEST_REFERENCE] if isinstance(text, str) else ""


def visible_digits(value: Any) -> str:
    """Return a payer's number as far as M-PESA shows it, `2547*****126`; empty for a hash or nothing."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    compact = re.sub(r"\s", "", text).replace("•", "*") if isinstance(text, str) and len(text) <= 40 else ""
    return compact if _MSISDN.fullmatch(compact) else ""


def may_be_same_phone(shown: str, phone_number: str) -> bool:
    """Return whether a masked number can be this one, by the digits that both show; False when nothing is shown."""
    if len(shown) != len(phone_number) or not shown:
        return False
    return all("*" in pair or pair[0] == pair[1] for pair in zip(shown, phone_number, strict=True))
