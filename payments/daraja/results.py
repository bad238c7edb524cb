"""What Daraja says about a payment, read strictly: callbacks, answers to a query, refusals. No I/O.

Codes are kept as text: they come as JSON integers in callbacks, as strings in queries, and some are not numeric at
all (`SFC_IC0003`). Success is the integer 0 or the string "0" and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeGuard

import strict_json
from payments.models import Reason

SUCCESS = "0"
LONGEST_DESC = 250  # characters, as the models store it

_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_CODE = re.compile(r"[A-Za-z0-9._-]{1,40}")
_RECEIPT = re.compile(r"[A-Za-z0-9]{1,40}")
_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,4})?")
_PHONE = re.compile(r"[0-9*+•]{1,20}")  # masked in some captures
_DATE = re.compile(r"[0-9T:. Z+-]{1,32}")

# The one table from Daraja's codes to reasons -------------------------------------------------------------------


class Meaning(NamedTuple):
    """What one code of Daraja means, for the payment and for us."""

    reason: Reason
    alerts_staff: bool = False  # something of the shop's own is wrong: no customer can pay until it is put right
    is_throttle: bool = False  # ask less often
    is_stale_token: bool = False  # a new token may help, once


_OUR_FAULT = Meaning(Reason.OUR_FAULT, alerts_staff=True)
_STALE_TOKEN = Meaning(Reason.OUR_FAULT, alerts_staff=True, is_stale_token=True)
_THROTTLE = Meaning(Reason.BUSY, is_throttle=True)

# Results of a payment, in callbacks and queries.
RESULTS: dict[str, Meaning] = {
    "1": Meaning(Reason.INSUFFICIENT_FUNDS),
    "2": Meaning(Reason.LIMIT),
    "3": Meaning(Reason.LIMIT),
    "4": Meaning(Reason.LIMIT),
    "8": _OUR_FAULT,  # the shop's account is full
    "17": Meaning(Reason.LIMIT),
    "21": _OUR_FAULT,
    "26": Meaning(Reason.BUSY),
    "1001": Meaning(Reason.BUSY),
    "1019": Meaning(Reason.PROMPT_EXPIRED),
    "1025": Meaning(Reason.NOT_SENT),
    "1031": Meaning(Reason.CANCELLED),
    "1032": Meaning(Reason.CANCELLED),
    "1036": Meaning(Reason.NO_RESPONSE),
    "1037": Meaning(Reason.NO_RESPONSE),
    "1101": _OUR_FAULT,
    "1102": _OUR_FAULT,
    "2001": Meaning(Reason.WRONG_PIN),
    "2006": Meaning(Reason.ACCOUNT),
    "2028": _OUR_FAULT,
    "8006": Meaning(Reason.ACCOUNT),
    "9999": Meaning(Reason.NOT_SENT),
    "SFC_IC0003": _OUR_FAULT,
}
# Refusals of a request.
REFUSALS: dict[str, Meaning] = {
    "400.002.02": Meaning(Reason.NOT_SENT, alerts_staff=True),  # one of the shop's fields; see _FIELDS_OF_CUSTOMERS
    "400.002.05": Meaning(Reason.NOT_SENT, alerts_staff=True),
    "400.003.01": _STALE_TOKEN,
    "400.008.01": _OUR_FAULT,
    "400.008.02": _OUR_FAULT,
    "401.002.01": _STALE_TOKEN,
    "404.001.01": _OUR_FAULT,
    "404.001.03": _STALE_TOKEN,
    "404.001.04": _OUR_FAULT,
    "405.001": _OUR_FAULT,
    "500.003.02": _THROTTLE,
    "500.003.03": _THROTTLE,
    "policies.ratelimit.SpikeArrestViolation": _THROTTLE,
    "policies.ratelimit.QuotaViolation": _THROTTLE,
    "keymanagement.service.invalid_access_token": _STALE_TOKEN,
    "keymanagement.service.access_token_expired": _STALE_TOKEN,
}

# Where the code alone means nothing, or is missing: words in Daraja's message, lower-case, the first that fits.
_PHRASES: tuple[tuple[str, Meaning], ...] = (
    ("apiproduct", _OUR_FAULT),
    ("unable to lock", Meaning(Reason.BUSY)),
    ("wrong credentials", _OUR_FAULT),
    ("merchant does not exist", _OUR_FAULT),
    ("merchant not allowed", _OUR_FAULT),
    ("missing iccid", Meaning(Reason.NOT_SENT)),
    ("spike arrest", _THROTTLE),
    ("invalid access token", _STALE_TOKEN),
)
# A result of a payment never has this form: its text must not decide anything.
_REQUEST_CODE = re.compile(r"|[45][0-9]{2}\.[0-9.]+|[A-Za-z_]+\.[A-Za-z_.]+")
_REFUSED_FIELD = "400.002.02"
_FIELDS_OF_CUSTOMERS = ("invalid phonenumber", "invalid partya", "invalid amount")


def meaning_of(code: str, message: str = "") -> Meaning | None:
    """Return what a code means, with Daraja's message where the code alone means nothing; None when unlisted."""
    text = message.lower()
    if code == _REFUSED_FIELD and any(field in text for field in _FIELDS_OF_CUSTOMERS):
        return Meaning(Reason.NOT_SENT)
    if meaning := RESULTS.get(code) or REFUSALS.get(code):
        return meaning
    if not _REQUEST_CODE.fullmatch(code):
        return None
    return next((meaning for phrase, meaning in _PHRASES if phrase in text), None)


def reason_for(code: str, message: str = "") -> Reason | None:
    """Return why a payment with this code failed; None when the code is unlisted and the payment has to wait."""
    meaning = meaning_of(code, message)
    return meaning.reason if meaning else None


def alerts_staff(code: str, message: str = "") -> bool:
    """Return whether this code tells of something that only the shop can put right."""
    meaning = meaning_of(code, message)
    return meaning is not None and meaning.alerts_staff


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
