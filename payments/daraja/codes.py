"""The one table from Daraja's codes to what they mean: why a payment failed, and what we have to do about it.

Codes are kept as text: they come as JSON integers in callbacks, as strings in queries, and some are not numeric at
all (`SFC_IC0003`). Success is the integer 0 or the string "0" and nothing else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from payments.models import Reason

SUCCESS = "0"


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
