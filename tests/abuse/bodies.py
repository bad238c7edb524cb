"""Bodies that are almost callbacks: generated, mutated from recordings, and plain bytes. A seed repeats them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[2] / "payments" / "tests" / "bodies" / "callbacks.json"
ODD_TEXTS = [
    "", " ", "0", "-0", "00", "0.0", "1e0", "true", "null", "\u0000", "\ud800", "\u202e", "ws_CO_", "🥭", "٣",
    "A" * 101, "A" * 20_000, "' OR 1=1 --", "<script>alert(1)</script>", "{{7*7}}", "%s%n", "=1+1", "2547•••", "NaN",
    "\r\nX: 1",
]  # fmt: skip
ODD_NUMBERS = [
    0, -0, 1, -1, 0.0, -0.0, 1.0, 1.004, 1e-9, 1e308, -1e308, 10**12, 10**30, -(10**30), 2**31, 2**63, float("nan"),
    float("inf"), True, False,
]  # fmt: skip
ODD_VALUES: list[Any] = [*ODD_TEXTS, *ODD_NUMBERS, None, [], {}, [0], {"Value": 0}, [[]], {"": {}}]
NAMES = ["Amount", "MpesaReceiptNumber", "Balance", "TransactionDate", "PhoneNumber", "", "amount", "Name"]


class Bodies:
    """An endless supply; `true` is the callback that would really pay."""

    def __init__(self, seed: int, true: dict[str, Any]) -> None:
        self.dice = random.Random(seed)
        self.true = true
        recordings = json.loads(RECORDINGS.read_text())
        self.recordings = [recording["body"] for recording in recordings]

    def __iter__(self) -> Iterator[bytes]:
        kinds: list[Callable[[], bytes]] = [self._mutated, self._mutated, self._recording, self._torn, self._bytes]
        while True:
            yield self.dice.choice(kinds)()

    def generated(self) -> bytes:
        """Return JSON, or nearly: the true body changed, torn, or a structure that has nothing to do with it."""
        return self.dice.choice([self._mutated, self._mutated, self._mutated, self._torn, self._free])()

    def recorded(self) -> bytes:
        """Return what Daraja was seen to send, mostly with something changed."""
        return self._recording()

    def raw(self) -> bytes:
        """Return bytes."""
        return self._bytes()

    def _free(self) -> bytes:
        """Return any JSON, with literals that Python writes and JSON does not know."""
        literals = ["1e400", "-1e400", "NaN", "-Infinity", "-0", "0e999999999", "1" * 5_000, "0.0", "true", "nul"]
        text = self._written(self._value(self.dice.randint(0, 6)))
        return text.replace(b"0", self.dice.choice(literals).encode(), 1) if self.dice.random() < 0.5 else text

    def _value(self, depth: int) -> Any:
        if not depth:
            return self._odd()
        parts = [self._value(depth - 1) for _part in range(self.dice.randint(0, 3))]
        names = [self.dice.choice([*NAMES, "Body", "stkCallback", "ResultCode", "Result"]) for _part in parts]
        return dict(zip(names, parts, strict=True)) if self.dice.random() < 0.7 else parts

    def _mutated(self) -> bytes:
        """Return the true callback with one to four things changed."""
        body = json.loads(json.dumps(self.true))
        for _change in range(self.dice.randint(1, 4)):
            self._change(body)
        return self._written(body)

    def _recording(self) -> bytes:
        body = json.loads(json.dumps(self.dice.choice(self.recordings)))
        if isinstance(body, dict) and self.dice.random() < 0.7:
            self._change(body)
        return self._written(body)

    def _change(self, body: Any) -> None:
        """Replace, remove, double or add something at any depth."""
        places = list(_places(body))
        if not places:
            return
        holder, key = self.dice.choice(places)
        what = self.dice.randrange(5)
        if what == 0 and isinstance(holder, dict):
            del holder[key]
        elif what == 1 and isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        elif what == 2 and isinstance(holder, dict):
            holder[self.dice.choice([*NAMES, "stkCallback", "Body"])] = self._odd()
        elif what == 3:
            holder[key] = _nested(self.dice.choice([3, 40, 200]))  # deeper ones come as plain bytes
        else:
            holder[key] = self._odd()

    def _odd(self) -> Any:
        return copy.deepcopy(self.dice.choice(ODD_VALUES))  # or a body could come to hold itself

    def _written(self, body: Any) -> bytes:
        text = json.dumps(body)
        if self.dice.random() < 0.1:
            text = text.replace('"ResultCode"', '"ResultCode": 0, "ResultCode"', 1)  # a key twice
        codec = self.dice.choice(["utf-8"] * 12 + ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
        return text.encode(codec, errors="replace")

    def _torn(self) -> bytes:
        body = self._mutated()
        return body[: self.dice.randrange(len(body))] + self.dice.choice([b"", b"\x00", b"}", b"]]]]", b"\xff"])

    def _bytes(self) -> bytes:
        size = self.dice.choice([0, 1, 7, 600, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537])
        return (
            self.dice.randbytes(size)
            if self.dice.random() < 0.5
            else (self.dice.choice([b"[", b"9", b" ", b'{"a":', b'{"Body":[', b"\\u0000", b'"']) * size)[:size]
        )


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) inside `value`."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _nested(depth: int) -> Any:
    value: Any = 0
    for _level in range(depth):
        value = [value]
    return value
