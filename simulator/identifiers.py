"""Ids, receipts and clock as Daraja writes them (real samples since 2022)."""

from __future__ import annotations

import secrets
import string
from datetime import datetime, timedelta, timezone
from uuid import uuid4

NAIROBI = timezone(timedelta(hours=3))  # no daylight saving
TOKEN_LENGTH = 28
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_DAYS = "123456789ABCDEFGHIJKLMNOPQRSTUV"  # 1 to 31
_FIRST_YEAR, _FIRST_LETTER = 2017, ord("L")


def nairobi(moment: float) -> datetime:
    """Return a Unix time as Nairobi's clock shows it."""
    return datetime.fromtimestamp(moment, NAIROBI)


def timestamp(moment: float) -> str:
    """Return `YYYYMMDDHHmmss`."""
    return nairobi(moment).strftime("%Y%m%d%H%M%S")


def token() -> str:
    return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(TOKEN_LENGTH))


def merchant_request_id() -> str:
    """Return the tail of a UUID and a counter, such as `6543-425e-a177-2e84b1462ecd1418872`."""
    return f"{str(uuid4())[9:]}{1_000_000 + secrets.randbelow(9_000_000)}"


def checkout_request_id(phone_number: str, moment: float) -> str:
    """Return `ws_CO_`, Nairobi's clock, three digits and the payer's nine: it tells who pays, and when."""
    clock = nairobi(moment).strftime("%d%m%Y%H%M%S")
    return f"ws_CO_{clock}{secrets.randbelow(1000):03}{phone_number[-9:]}"


def conversation_id(moment: float) -> str:
    """Return M-PESA's own id of an operator's request, such as `AG_20261125_70101a2b3c4d5e6f7a8b`."""
    return f"AG_{nairobi(moment):%Y%m%d}_7010{secrets.token_hex(8)}"


def receipt(moment: float) -> str:
    """Return a receipt such as `UKN7R2X0QD`: letters for year, month and day, then seven characters."""
    day = nairobi(moment)
    year = chr(_FIRST_LETTER + day.year - _FIRST_YEAR) if day.year < 2032 else "Z"
    rest = "".join(secrets.choice(_UPPER) for _ in range(7))
    return f"{year}{string.ascii_uppercase[day.month - 1]}{_DAYS[day.day - 1]}{rest}"
