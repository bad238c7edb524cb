"""What the judges of money by hand and of money sent back must hold against the shop."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.many import back, hand
from tests.faults.many.hand import Visit, Way
from tests.faults.many.ledger import Paid
from tests.faults.many.shoppers import Shopper
from tests.faults.many.verdict import Verdict

PHONE, RECEIPT = "254790000001", "UAB1"
PAID = [Paid(PHONE, RECEIPT, 185, "", True)]


def _order(*receipts: str) -> dict[str, Any]:
    payments = [{"status": "COMPLETED", "mpesa_receipt_number": receipt} for receipt in receipts]
    return {"status": "PAID" if receipts else "OPEN", "amount_paid": 185 * len(receipts), "payments": payments}


@pytest.mark.parametrize(
    ("way", "receipts", "is_before_staff", "accused"),
    [
        (Way(), [RECEIPT], False, []),
        (Way(), [], True, ["I1"]),
        (Way(counts=False), [], True, []),
        (Way(counts=False), [], False, ["I1"]),
        (Way(), [RECEIPT, "UAB2"], False, ["I2", "I1"]),
    ],
)
def test_money_by_hand_is_counted_or_before_staff(
    way: Way, receipts: list[str], is_before_staff: bool, accused: list[str]
) -> None:
    visit = Visit(Shopper(PHONE, {}), way, order=_order(*receipts), is_before_staff=is_before_staff)
    verdict = Verdict()
    assert [wrong[:2] for wrong in hand._wrongs(visit, [visit.order], PAID, verdict)] == accused
    assert verdict.counts["for staff"] == is_before_staff


@pytest.mark.parametrize(
    ("number", "went_back", "refunded", "is_before_staff", "accused"),
    [
        ("R2", 185, 185, False, 0),
        ("R2", 185, 0, False, 1),
        ("R2", 0, 185, False, 2),  # more than went back, and not what went back
        ("R9", 185, 0, True, 0),
        ("R9", 185, 0, False, 1),
        ("R10", 0, 0, False, 1),
        ("R11", 0, 0, False, 0),
    ],
)
def test_money_sent_back_is_known_to_be_back_or_before_staff(
    number: str, went_back: int, refunded: int, is_before_staff: bool, accused: int
) -> None:
    fault = next(each for each in back.FAULTS if each.number == number)
    shopper = Shopper(PHONE, {}, transaction_ids=["a"])
    judge: Any = object.__new__(back.BackSlice)
    judge.fault, judge.acknowledged, judge.before_staff = fault, set(), {"a"} if is_before_staff else set()
    judge.buying = SimpleNamespace(ledger=SimpleNamespace(paid=lambda: {PHONE: PAID}))
    judge.counter = SimpleNamespace(
        simulate=lambda path: {"count": int(went_back > 0), "amount": went_back},
        ask=lambda *arguments: {"refunded_amount": refunded},
    )
    visit: Any = SimpleNamespace(shopper=shopper)
    assert len(list(judge._wrongs(visit, Verdict()))) == accused
