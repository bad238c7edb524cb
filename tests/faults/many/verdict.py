"""The judge of many payments: the shop's public answers and the pages against the ledger."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.many.ledger import Paid
from tests.faults.many.shoppers import Shopper


@dataclass
class Verdict:
    """`convergence`: seconds from each payment's last change to its page; `violations` name phone and plan."""

    violations: list[str] = field(default_factory=list)
    convergence: list[float] = field(default_factory=list)
    counts: Tally[str] = field(default_factory=Tally)

    def accuse(self, shopper: Shopper, what: str) -> None:
        self.violations.append(f"{what} ({shopper.phone_number}, {shopper.plan})")


def compare(shopper: Shopper, order: dict[str, Any], paid: Sequence[Paid], verdict: Verdict) -> None:
    """Hold what the shop says of one order against what the phone paid."""
    verdict.counts["customers"] += 1
    if not shopper.transaction_ids or not order:
        verdict.accuse(shopper, "could not buy within the time that people have")
        return
    payments = order["payments"]
    verdict.counts.update(payment["status"] for payment in payments)
    verdict.counts.update(flag for payment in payments for flag in ("late", "surplus") if payment[flag])
    verdict.counts["payments"] += len(payments)
    verdict.counts["paid"] += len(paid)
    for violation in [*shopper.violations, *_wrongs(shopper, order, payments, paid, verdict.counts)]:
        verdict.accuse(shopper, violation)


def _wrongs(
    shopper: Shopper, order: dict[str, Any], payments: list[dict[str, Any]], paid: Sequence[Paid], counts: Tally[str]
) -> Iterator[str]:
    completed = [payment for payment in payments if payment["status"] == "COMPLETED"]
    if any(payment["status"] == "PENDING" for payment in payments):
        yield "I6: not ended in time"
    if len(completed) > len(paid):
        yield f"I2: {len(completed)} completed, {len(paid)} paid"
    missing = len(paid) - len(completed)
    if missing > 0 and not shopper.was_accepted and not any(each.is_told for each in paid):
        counts["unknowable"] += missing
    elif missing > 0:
        yield f"I1: paid {len(paid)} times, and the shop says {[(each['status'], each['reason']) for each in payments]}"
    if completed:
        yield from _money(order, completed, paid)


def _money(order: dict[str, Any], completed: list[dict[str, Any]], paid: Sequence[Paid]) -> Iterator[str]:
    """Say what is wrong with an order that has a payment: amounts, receipts, and which of them paid it."""
    told, known = (
        {each.receipt for each in paid if each.is_told},
        {payment["mpesa_receipt_number"] for payment in completed},
    )
    if not known <= {each.receipt for each in paid} | {None} or not told <= known:
        yield f"I1: the receipts are {known}"
    if {payment["amount"] for payment in completed} - {each.amount for each in paid}:
        yield "I2: another amount"
    if order["status"] != "PAID" or sum(not payment["surplus"] for payment in completed) != 1:
        yield f"I3: the order is {order['status']}, surplus {[payment['surplus'] for payment in completed]}"
