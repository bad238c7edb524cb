"""What Daraja says about a payment, read strictly: callbacks, answers to a query, refusals. No I/O.

What its codes mean stands in codes.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeGuard

import strict_json
from payments.daraja.codes import RESULTS, SUCCESS, Meaning, meaning_of
from payments.models import Reason

LONGEST_DESC = 250  # characters, as the models store it

_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_CODE = re.compile(r"[A-Za-z0-9._-]{1,40}")
_RECEIPT = re.compile(r"[A-Za-z0-9]{1,40}")
_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,4})?")
_PHONE = re.compile(r"[0-9*+•]{1,20}")  # masked in some captures
_DATE = re.compile(r"[0-9T:. Z+-]{1,32}")

# Callbacks ------------------------------------------------------------------------------------------------------


class NotACallback(ValueError):
    """The body is not a callback that we can rely on; the text says why, for staff."""


@dataclass(frozen=True)
class StkCallback:
    """One callback. None where the body says nothing usable; `amount`: KES, as Daraja wrote it."""

    merchant_request_id: str
    checkout_request_id: str
    result_code: str
    result_desc: str
    amount: Decimal | None = None
    mpesa_receipt_number: str | None = None
    phone_number: str | None = None
    transaction_date: str | None = None

    @property
    def is_success(self) -> bool:
        return self.result_code == SUCCESS


def parse_callback(body: bytes) -> StkCallback:
    """Return the callback in `body`. Raises NotACallback, and nothing else whatever the bytes are."""
    try:
        value = strict_json.read(body)
    except strict_json.NotJson as error:
        raise NotACallback(str(error)) from None
    callback = _object(_object(value, "body").get("Body"), "Body").get("stkCallback")
    callback = _object(callback, "stkCallback")
    items = _items(callback.get("CallbackMetadata"))
    return StkCallback(
        merchant_request_id=_merchant_request_id(callback.get("MerchantRequestID")),
        checkout_request_id=_checkout_request_id(callback.get("CheckoutRequestID")),
        result_code=_result_code(callback.get("ResultCode")),
        result_desc=_result_desc(callback.get("ResultDesc")),
        amount=amount_or_none(items.get("Amount")),
        mpesa_receipt_number=receipt_or_none(items.get("MpesaReceiptNumber")),
        phone_number=_text(items.get("PhoneNumber"), _PHONE),
        transaction_date=_text(items.get("TransactionDate"), _DATE),
    )


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotACallback(f"{name} is not an object")
    return value


def is_id(value: Any) -> TypeGuard[str]:
    """Return whether a value can be one of Daraja's ids; they are opaque, but never blank, long or odd."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _checkout_request_id(value: Any) -> str:
    if not is_id(value):
        raise NotACallback("no CheckoutRequestID")
    return value


def _merchant_request_id(value: Any) -> str:
    if value is None or value == "":
        return ""
    if not is_id(value):
        raise NotACallback("MerchantRequestID is no id")
    return value


def _result_code(value: Any) -> str:
    code = code_text(value)
    if code is None:
        raise NotACallback("no ResultCode")
    return code


def code_text(value: Any) -> str | None:
    """Return a code as text, None unless it is a JSON integer or a string of a code's characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and _CODE.fullmatch(value):
        return value
    return None


def _result_desc(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise NotACallback("ResultDesc is not text")
    return value[:LONGEST_DESC]


def _items(metadata: Any) -> dict[str, Any]:
    """Return the items by name, never by position. One that comes twice is ambiguous and counts as absent."""
    if metadata is None:
        return {}
    items = _object(metadata, "CallbackMetadata").get("Item", [])
    if not isinstance(items, list):
        raise NotACallback("Item is not a list")
    named: dict[str, Any] = {}
    for item in items:
        name = _object(item, "item").get("Name")
        if not isinstance(name, str):
            raise NotACallback("item without a name")
        named[name] = None if name in named else item.get("Value")
    return named


def amount_or_none(value: Any) -> Decimal | None:
    """Return KES from a number or numeric text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    return None


def receipt_or_none(value: Any) -> str | None:
    """Return a value that can be a receipt; None for anything else."""
    return value if isinstance(value, str) and _RECEIPT.fullmatch(value) else None


def text_or_empty(value: Any) -> str:
    """Return free text of Daraja's, cut to what a column takes; empty when it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    return str(value)[:LONGEST_DESC]


def _text(value: Any, form: re.Pattern[str]) -> str | None:
    """Return a value that is a number in some bodies and text in others."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return text if form.fullmatch(text) else None


# Answers to our own requests ------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """A refusal in one of Daraja's envelopes; either part may be empty."""

    code: str
    message: str

    @property
    def meaning(self) -> Meaning | None:
        return meaning_of(self.code, self.message)


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP, before anybody has made sense of it."""

    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def data(self) -> dict[str, Any] | None:
        """The JSON object in the body; None for a page, an empty body or anything else."""
        try:
            value = strict_json.read(self.body)
        except strict_json.NotJson:
            return None
        return value if isinstance(value, dict) else None

    @cached_property
    def fault(self) -> Fault | None:
        """The refusal in the body, if it is one, whatever the status: Daraja also sends errors with 200."""
        data = self.data or {}
        if "errorCode" in data or "errorMessage" in data:
            return _fault(data.get("errorCode"), data.get("errorMessage"))
        inner = data.get("fault")
        if not isinstance(inner, dict):
            return None
        detail = inner.get("detail")
        return _fault(detail.get("errorcode") if isinstance(detail, dict) else None, inner.get("faultstring"))

    @property
    def refuses_token(self) -> bool:
        meaning = self.fault.meaning if self.fault else None
        return meaning is not None and meaning.is_stale_token


def _fault(code: Any, message: Any) -> Fault:
    return Fault(code_text(code) or "", message[:LONGEST_DESC] if isinstance(message, str) else "")


@dataclass(frozen=True)
class QueryAnswer:
    """What Daraja itself says about a payment; `pending` is everything that settles nothing."""

    outcome: Literal["success", "failure", "pending"]
    result_code: str
    result_desc: str
    reason: Reason | None = None


def parse_query(answer: Answer, *, checkout_request_id: str) -> QueryAnswer:
    """Return what an answer to an STK query says about that payment.

    Only a listed `ResultCode` in a clean answer about the very id settles anything: Daraja also says "Invalid
    CheckoutRequestID" when asked too early, and errors when it is busy or has settled the payment already.
    """
    data = answer.data or {}
    if answer.fault:
        return QueryAnswer("pending", *answer.fault)
    code = code_text(data.get("ResultCode")) or ""
    desc = data.get("ResultDesc")
    desc = desc[:LONGEST_DESC] if isinstance(desc, str) else ""
    if not _is_about(data, checkout_request_id) or not answer.is_ok:
        return QueryAnswer("pending", "", desc)
    if code == SUCCESS:
        return QueryAnswer("success", code, desc)
    if code in RESULTS:
        return QueryAnswer("failure", code, desc, RESULTS[code].reason)
    return QueryAnswer("pending", code, desc)


def _is_about(data: dict[str, Any], checkout_request_id: str) -> bool:
    accepted = data.get("ResponseCode", SUCCESS)
    return code_text(accepted) == SUCCESS and data.get("CheckoutRequestID", checkout_request_id) == checkout_request_id
