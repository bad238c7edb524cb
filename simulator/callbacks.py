"""What Daraja posts to the CallBackURL, and when: true, late, twice, garbled, or never."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from simulator import configuration, identifiers
from simulator.prompts import Prompt
from simulator.scenarios import RESULTS, Delivery, Outcome, Result

AFTER_EXPIRY_MARGIN = 5.0  # seconds, so that the shop's expiry surely came first
BETWEEN_CALLBACKS = 0.5  # seconds, so that two callbacks that contradict each other keep their order
EARLY_CLOCK = 92  # seconds that a TransactionDate was seen before the push's own clock
_AMOUNT = "@amount@"


@dataclass(frozen=True)
class Scheduled:
    """One POST to the shop."""

    due_at: float
    body: bytes


@dataclass(frozen=True)
class Callback:
    """What one callback says. `amount`: KES, None to leave it out."""

    prompt: Prompt
    result: Result
    receipt: str
    paid_at: float
    amount: int | None
    checkout_request_id: str
    is_odd: bool = False

    def body(self) -> bytes:
        """Return the JSON as Daraja writes it: the amount with two decimals, `CallbackMetadata` only on success."""
        code = str(self.result.code) if self.is_odd else self.result.code
        callback: dict[str, Any] = {
            "MerchantRequestID": self.prompt.merchant_request_id,
            "CheckoutRequestID": self.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": self.result.desc,
        }
        if self.receipt:
            callback["CallbackMetadata"] = {"Item": self._items()}
        text = json.dumps({"Body": {"stkCallback": callback}})
        return text.replace(f'"{_AMOUNT}"', f"{self.amount}.00").encode()

    def _items(self) -> list[dict[str, Any]]:
        paid_at = self.paid_at - EARLY_CLOCK if self.is_odd else self.paid_at
        number = self.prompt.phone_number
        items: list[dict[str, Any]] = [
            {"Name": "Amount", "Value": _AMOUNT},
            {"Name": "MpesaReceiptNumber", "Value": self.receipt},
            {"Name": "Balance"},  # without a value, as in most real captures
            {"Name": "TransactionDate", "Value": int(identifiers.timestamp(paid_at))},
            {"Name": "PhoneNumber", "Value": f"{number[:6]}***{number[-3:]}" if self.is_odd else int(number)},
        ]
        if self.is_odd:
            items.reverse()
        return [item for item in items if item["Name"] != "Amount" or self.amount is not None]


def schedule(prompt: Prompt, outcome: Outcome, delivery: Delivery, receipt: str, now: float) -> list[Scheduled]:
    """Return the POSTs that an answer given at `now` leads to; `receipt` is empty unless the phone paid."""
    true = Callback(prompt, RESULTS[outcome], receipt, now, prompt.amount, prompt.checkout_request_id)
    due_at = _due_at(prompt, delivery, now)
    if delivery in _SEVERAL:
        return _SEVERAL[delivery](true, due_at)
    altered = _ALTERED.get(delivery, Callback.body)
    return [Scheduled(due_at, altered(true))]


def told_at(prompt: Prompt, delivery: Delivery, now: float) -> float:
    """Return when Daraja's query begins to tell the result: with the callback that waits for the shop's expiry."""
    return _due_at(prompt, delivery, now) if delivery is Delivery.AFTER_EXPIRY else now


def _due_at(prompt: Prompt, delivery: Delivery, now: float) -> float:
    if delivery is Delivery.BEFORE_ANSWER:
        return now
    if delivery is Delivery.LATE:
        return now + configuration.seconds(configuration.LATE)
    if delivery is Delivery.AFTER_EXPIRY:
        return max(now, prompt.pushed_at + configuration.expire_after() + AFTER_EXPIRY_MARGIN)
    return now + configuration.seconds(configuration.CALLBACK)


def _failure(true: Callback, outcome: Outcome) -> bytes:
    return replace(true, result=RESULTS[outcome], receipt="").body()


def _wrong_amount(true: Callback) -> bytes:
    """Name one shilling less than the phone paid, or one more where there is no less."""
    return replace(true, amount=true.prompt.amount - 1 or 2).body()


def _unknown_id(true: Callback) -> bytes:
    stranger = identifiers.checkout_request_id(true.prompt.phone_number, true.paid_at + 1)
    return replace(true, checkout_request_id=stranger).body()


_SEVERAL: dict[Delivery, Callable[[Callback, float], list[Scheduled]]] = {
    Delivery.LOST: lambda true, due_at: [],
    Delivery.TWICE: lambda true, due_at: [Scheduled(due_at, true.body())] * 2,
    Delivery.THREE_TIMES: lambda true, due_at: [Scheduled(due_at, true.body())] * 3,
    Delivery.OUT_OF_ORDER: lambda true, due_at: [
        Scheduled(due_at, _failure(true, Outcome.NO_RESPONSE)),
        Scheduled(due_at + BETWEEN_CALLBACKS, true.body()),
    ],
    Delivery.CONTRADICTED: lambda true, due_at: [
        Scheduled(due_at, true.body()),
        Scheduled(due_at + BETWEEN_CALLBACKS, _failure(true, Outcome.CANCELLED)),
    ],
}
_ALTERED: dict[Delivery, Callable[[Callback], bytes]] = {
    Delivery.WRONG_AMOUNT: _wrong_amount,
    Delivery.ODD: lambda true: replace(true, is_odd=True).body(),
    Delivery.MALFORMED: lambda true: true.body()[: len(true.body()) // 2],
    Delivery.UNKNOWN_ID: _unknown_id,
    Delivery.NO_AMOUNT: lambda true: replace(true, amount=None).body(),
}
