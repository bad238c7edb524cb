"""Kenyan mobile numbers as people type them → `254[17]` and eight digits, the only form Daraja takes.

Prefixes are not checked against operators: the ranges keep growing and numbers are portable, so Daraja decides.
"""

from __future__ import annotations

import re

# "(0)" counts only where people write it: +254 (0)712 …
_INTERNATIONAL_WITH_ZERO = re.compile(r"\+254[ .\-]*\(0\)")
_NUMBER = re.compile(r"(?:\+254|00254|254|0)?([17][0-9]{8})")
_SEPARATORS = str.maketrans("", "", " .-()")
LONGEST_TYPED = 40  # characters


class InvalidPhoneNumber(ValueError):
    """The text is no Kenyan mobile number; nothing was sent to anybody."""


def normalise_phone_number(typed: object) -> str:
    """Return the number as `254…`, or raise `InvalidPhoneNumber`; ASCII digits only, never "the last nine"."""
    if not isinstance(typed, str) or len(typed) > LONGEST_TYPED:
        raise InvalidPhoneNumber(typed)
    text = _INTERNATIONAL_WITH_ZERO.sub("+254", typed.strip(" "), count=1)
    found = _NUMBER.fullmatch(text.translate(_SEPARATORS))
    if not found:
        raise InvalidPhoneNumber(typed)
    return f"254{found[1]}"


def mask(phone_number: str) -> str:
    """Return `2547•••••149`: enough for its owner to know it, too little for anybody else; empty when unknown."""
    return f"{phone_number[:4]}•••••{phone_number[-3:]}" if phone_number else ""


def mask_local(phone_number: str) -> str:
    """Return `0712 ••• 678`, the masked number as people write it; M-PESA itself may show less, or nothing."""
    return f"0{phone_number[3:6]} ••• {phone_number[-3:]}".replace("*", "•") if phone_number else "–"
