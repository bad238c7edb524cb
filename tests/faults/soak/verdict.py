"""What the hour showed: was everything given back, and does the shop say what phones paid?"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import requests

from tests.faults.rig.judge import SECRETS
from tests.faults.soak.crowd import Visitor
from tests.faults.soak.samples import Sample
from tests.production.stack import Stack

GROWTH = 0.10  # of memory, at most
GIVE_OR_TAKE = 2  # connections, tasks, threads
SESSIONS = "PostgreSQL: sessions"
PHONES = re.compile(r"25479\d{7}")
LEDGER = (
    "SELECT p.phone_number, p.receipt, p.amount, "
    "EXISTS (SELECT 1 FROM deliveries d WHERE d.prompt_id = p.prompt_id AND d.status = 200) FROM payments p"
)


@dataclass(frozen=True)
class Held:
    """One thing that one process holds, as medians over a phase."""

    what: str
    base: float
    busy: float
    highest: float
    after: float

    @property
    def is_given_back(self) -> bool:
        may_grow = self.base * GROWTH if self.what.endswith(("MiB", "descriptors")) else 0.0
        may_vary = 0.0 if self.what.endswith("MiB") else GIVE_OR_TAKE
        return self.after <= self.base + may_grow + may_vary


def held(base: list[Sample], busy: list[Sample], after: list[Sample]) -> list[Held]:
    """Return everything that was sampled: `base` and `after` without load, `busy` under it."""
    found = []
    for what, read in _THINGS.items():
        values = [[value for sample in phase if (value := read(sample)) is not None] for phase in (base, busy, after)]
        if all(values):
            found.append(Held(what, median(values[0]), median(values[1]), max(values[1]), median(values[2])))
    return found


def _of(process: str, name: str) -> Any:
    return lambda sample: sample.get(process, {}).get(name)


_UNITS = {"rss_mib": "memory, MiB", "descriptors": "descriptors", "threads": "threads", "tasks": "asyncio tasks"}
_THINGS = {
    f"{process}: {unit}": _of(process, name)
    for process in ("web-1", "web-2", "reconciler")
    for name, unit in _UNITS.items()
} | {
    SESSIONS: lambda sample: sample.get("postgresql"),
    "Redis: connections": lambda sample: sample.get("redis"),
}


@dataclass
class Money:
    """What the shop says against the ledger."""

    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def judge(stack: Stack, record: Path, visitors: Sequence[Visitor]) -> Money:
    """Ask the shop's public routes about every visitor and compare with the simulator's `record`."""
    money = Money()
    paid = {phone: rest for phone, *rest in _ledger(record)}
    with ThreadPoolExecutor(2) as askers, requests.Session() as session:
        for visitor, order in zip(visitors, askers.map(lambda v: _order(stack, session, v), visitors), strict=True):
            for violation in [*visitor.violations, *_compare(visitor, order, paid.get(visitor.phone_number), money)]:
                money.violations.append(f"{violation} ({visitor.phone_number}, {visitor.plan})")
    money.violations += _leaks(stack)
    return money


def _ledger(record: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{record}?mode=ro", uri=True) as connection:
        return connection.execute(LEDGER).fetchall()


def _order(stack: Stack, session: requests.Session, visitor: Visitor) -> dict[str, Any]:
    if not visitor.order_id:
        return {}
    return dict(session.get(f"{stack.base_url}/api/orders/{visitor.order_id}/", timeout=30).json())


def _compare(visitor: Visitor, order: dict[str, Any], paid: Sequence[Any] | None, money: Money) -> Iterator[str]:
    money.counts["customers"] += 1
    if not visitor.transaction_id:
        money.counts["could not buy"] += 1
        yield "could not buy within the time that people have"
        return
    payment = next(each for each in order["payments"] if each["transaction_id"] == visitor.transaction_id)
    money.counts["paid"] += paid is not None
    money.counts[payment["status"]] += 1
    if payment["status"] == "PENDING":
        yield "I6: not ended in time"
    if payment["status"] == "COMPLETED":
        yield from _compare_money(order, payment, paid)
    elif paid and not visitor.was_accepted and not paid[2]:
        money.counts["unknowable"] += 1
    elif paid:
        yield f"I1: paid, and the shop says {payment['status']} {payment['reason']}"


def _compare_money(order: dict[str, Any], payment: dict[str, Any], paid: Sequence[Any] | None) -> Iterator[str]:
    if paid is None:
        yield "I2: completed without money"
        return
    receipt, amount, was_told = paid
    if payment["amount"] != amount:
        yield "I2: another amount"
    if payment["mpesa_receipt_number"] not in ({receipt} if was_told else {receipt, None}):
        yield f"I1: the receipt is {payment['mpesa_receipt_number']}"
    if (order["status"], order["amount_paid"], len(order["payments"])) != ("PAID", amount, 1):
        yield f"I3: the order is {order['status']} with KES {order['amount_paid']}"


def _leaks(stack: Stack) -> Iterator[str]:
    for path in sorted(stack.directory.rglob("*.log")):
        if path.name == "postgresql.log":
            continue  # PostgreSQL's own words about statements are its administrator's
        text = path.read_text(errors="replace")
        if SECRETS.search(text) or PHONES.search(text):
            yield f"I9: a secret or a whole phone number in {path.name}"
