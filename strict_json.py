"""Read JSON from strangers: bounded, exact and without the surprises of plain `json.loads`.

`json.loads` raises RecursionError at a thousand levels and ValueError at a long integer, takes `NaN`, keeps the last
of two equal keys, and lets through NUL and lone surrogates, which no database column takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

LARGEST_BODY = 64 * 1024  # bytes
DEEPEST = 8  # levels of objects and arrays
MOST_KEYS = 64  # of one object
MOST_ELEMENTS = 256  # of one array
LONGEST_NUMBER = 40  # characters
LARGEST_EXPONENT = 307  # what every reader of JSON can hold

# Strings are skipped whole, unfinished ones to the end: every character is looked at once.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_NOTHING = re.compile(r"(?!)")


class NotJson(ValueError):
    """The bytes are not JSON that we accept; the text says why."""


def read(body: bytes, *, storable: bool = True) -> Any:
    """Return the JSON value of `body`; floats become Decimal. Raises NotJson and nothing else.

    `storable`: refuse text that no database takes; without it every field has to be checked on its own.
    """
    if len(body) > LARGEST_BODY:
        raise NotJson("too large")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    _refuse_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError:
        raise NotJson("not JSON") from None
    _refuse_forbidden(value, _FORBIDDEN if storable else _NOTHING)
    return value


def _refuse_depth(text: str) -> None:
    """Count brackets before parsing: the parser recurses, and RecursionError may come from anywhere."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        depth += _STEP.get(found[0], 0)
        if depth > DEEPEST:
            raise NotJson("too deep")


def _refuse_forbidden(value: Any, forbidden: re.Pattern[str]) -> None:
    if any(forbidden.search(text) for text in _strings(value)):
        raise NotJson("NUL or lone surrogate")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        if len(value) > MOST_ELEMENTS:
            raise NotJson("too many elements")
        for member in value:
            yield from _strings(member)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(pairs) > MOST_KEYS:
        raise NotJson("too many keys")
    if len(members) != len(pairs):
        raise NotJson("duplicate key")
    return members


def _integer(literal: str) -> int | Decimal:
    if len(literal) > LONGEST_NUMBER:
        raise NotJson("number too long")
    # int("-0") is 0, and 0 means paid.
    return Decimal(literal) if literal == "-0" else int(literal)


def _float(literal: str) -> Decimal:
    if len(literal) > LONGEST_NUMBER:
        raise NotJson("number too long")
    try:
        number = Decimal(literal)
    except ArithmeticError:
        raise NotJson("number out of range") from None
    # 1e400 is no float, and 1e999999 as an integer would fill the memory.
    if abs(number.adjusted()) > LARGEST_EXPONENT:
        raise NotJson("number out of range")
    return number


def _refuse_constant(name: str) -> Any:
    raise NotJson(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_refuse_constant
)
