"""Check every field of a push or query as strictly as Daraja documents it; the first bad one is named."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from simulator import credentials, identifiers
from simulator.answers import Refused, bad_field, wrong_credentials
from simulator.prompts import BUY_GOODS, PAY_BILL, Push

LARGEST_AMOUNT = 250_000  # KES
PLAUSIBLE = timedelta(days=1)  # between a Timestamp and our clock: UTC is accepted too
LONGEST_URL = 1000

_SHORT_CODE = re.compile(r"[0-9]{5,7}")
_TIMESTAMP = re.compile(r"[0-9]{14}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,5}")
_PHONE = re.compile(r"254[17][0-9]{8}")
_URL = re.compile(r"https?://[!-~]+")
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,12}")
_DESC = re.compile(r"[A-Za-z0-9 -]{1,13}")
_CHECKOUT_REQUEST_ID = re.compile(r"ws_CO_[A-Za-z0-9_]{1,60}")


def read_push(data: dict[str, Any]) -> Push:
    """Return the push in a JSON object. Raises Refused, which names the field to blame."""
    short_code = check_shop(data)
    transaction_type, party_b = _business(data, short_code)
    amount = matching(data, "Amount", _AMOUNT)
    if int(amount) > LARGEST_AMOUNT:
        raise bad_field("Amount")
    matching(data, "PartyA", _PHONE)
    return Push(
        phone_number=matching(data, "PhoneNumber", _PHONE),
        amount=int(amount),
        account_reference=matching(data, "AccountReference", _REFERENCE),
        transaction_desc=matching(data, "TransactionDesc", _DESC, blamed="Remarks"),
        transaction_type=transaction_type,
        business_short_code=short_code,
        party_b=party_b,
        callback_url=url_field(data, "CallBackURL"),
    )


def read_query(data: dict[str, Any]) -> str:
    """Return the CheckoutRequestID that is asked about. Raises Refused."""
    check_shop(data)
    return matching(data, "CheckoutRequestID", _CHECKOUT_REQUEST_ID)


def check_shop(data: dict[str, Any]) -> str:
    """Return the short code once Password and Timestamp prove that the caller holds its passkey. Raises Refused."""
    short_code = _short_code(data, "BusinessShortCode", credentials.short_code())
    password = _decoded(data.get("Password"))
    timestamp = _timestamp(data)
    if short_code != credentials.short_code():
        raise Refused(500, "500.001.1001", "Merchant does not exist")
    if not hmac.compare_digest(password, f"{short_code}{credentials.passkey()}{timestamp}".encode()):
        raise wrong_credentials()
    return short_code


def _short_code(data: dict[str, Any], name: str, own: str) -> str:
    """Return a number of Daraja's form; the shop's own, which the settings leave to the shop, has any length."""
    return own if own and str(data.get(name)) == own else matching(data, name, _SHORT_CODE)


def matching(data: dict[str, Any], name: str, pattern: re.Pattern[str], *, blamed: str = "") -> str:
    """Return a field that may be a string or a whole number, as text."""
    value = data.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise bad_field(blamed or name)
    return value


def _decoded(password: Any) -> bytes:
    try:
        decoded = base64.b64decode(password, validate=True) if isinstance(password, str) else b""
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise bad_field("Password")
    return decoded


def _timestamp(data: dict[str, Any]) -> str:
    text = matching(data, "Timestamp", _TIMESTAMP)
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=identifiers.NAIROBI)
    except ValueError:
        raise bad_field("Timestamp") from None
    if abs(moment - identifiers.nairobi(time.time())) > PLAUSIBLE:
        raise bad_field("Timestamp")
    return text


def _business(data: dict[str, Any], short_code: str) -> tuple[str, str]:
    """Return type and payee: a pay bill is paid as itself, a till under its own number."""
    till = credentials.till_number()
    transaction_type = data.get("TransactionType")
    if transaction_type != (BUY_GOODS if till else PAY_BILL):
        raise bad_field("TransactionType")
    party_b = _short_code(data, "PartyB", till or short_code)
    if party_b != (till or short_code):
        raise bad_field("PartyB")
    return str(transaction_type), party_b


def url_field(data: dict[str, Any], name: str) -> str:
    """Return a well-formed address. Like Daraja, do not ask whether its host exists."""
    url = data.get(name)
    if not isinstance(url, str) or not _URL.fullmatch(url) or set(url) & set('<>"\\') or len(url) > LONGEST_URL:
        raise bad_field(name)
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or parts.username is not None or parts.netloc != parts.netloc.lower():
        raise bad_field(name)
    return url
