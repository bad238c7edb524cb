"""A generated week: the same payments in the simulator's ledger and in the shop's record, and the statement of it."""

from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from payments.models import Status, Transaction
from shop.models import Order
from simulator import identifiers, record, statement
from simulator.statement import Drift, Planted

START = datetime(2026, 11, 15, 21, 0, tzinfo=UTC)  # Monday in Nairobi
WEEK = timedelta(days=7)
BATCH = 2000
SEED = 7
# What each planted error has to be found as.
FOUND_AS = {
    Drift.MISSING: "missing_theirs",
    Drift.STRANGE: "missing_ours",
    Drift.AMOUNT: "amount",
    Drift.RECEIPT: "receipt",
    Drift.TWICE: "twice",
    Drift.REVERSED: "reversed",
}


def make_week(payments: int) -> None:
    """Write so many payments of one week into both records."""
    chance = random.Random(SEED)
    numbers = iter(range(payments))
    receipts: set[str] = set()
    while batch := list(itertools.islice(numbers, BATCH)):
        moments = [START + (WEEK - timedelta(minutes=20)) * (n / payments) + timedelta(minutes=10) for n in batch]
        paid = [_paid(moment, chance, receipts) for moment in moments]
        orders = Order.objects.bulk_create(
            [_order(row["amount"], number) for number, row in zip(batch, paid, strict=True)]
        )
        Transaction.objects.bulk_create([_ours(order, row) for order, row in zip(orders, paid, strict=True)])
        write_ledger(paid, batch[0])


def _paid(moment: datetime, chance: random.Random, receipts: set[str]) -> dict[str, Any]:
    receipt = identifiers.receipt(moment.timestamp())
    while receipt in receipts:
        receipt = identifiers.receipt(moment.timestamp())
    receipts.add(receipt)
    return {
        "receipt": receipt,
        "phone_number": f"2547{chance.randrange(10**8):08d}",
        "amount": chance.randrange(10, 5000),
        "account_reference": uuid.UUID(int=chance.getrandbits(128)).hex[:12].upper(),
        "at": moment,
    }


def _order(amount: int, number: int) -> Order:
    return Order(amount=amount, amount_paid=amount, status=Order.Status.PAID, account_number=f"W{number:07d}")


def _ours(order: Order, row: dict[str, Any]) -> Transaction:
    return Transaction(
        order=order,
        environment=settings.MPESA_ENVIRONMENT,
        business_short_code=settings.MPESA_SHORTCODE,
        phone_number=row["phone_number"],
        amount=row["amount"],
        account_reference=row["account_reference"],
        status=Status.COMPLETED,
        mpesa_receipt_number=row["receipt"],
        expires_at=row["at"] + timedelta(minutes=3),
        completed_at=row["at"] + timedelta(seconds=1),
    )


def write_ledger(paid: list[dict[str, Any]], first: int) -> None:
    """Enter payments into the simulator's ledger, as if phones had paid them."""
    rows = [
        [
            *(row["receipt"], first + number, f"ws_CO_{first + number}", row["phone_number"], row["amount"]),
            *(row["account_reference"], settings.MPESA_SHORTCODE, row["at"].timestamp()),
        ]
        for number, row in enumerate(paid)
    ]
    with record.writing() as db:
        db.executemany(
            "INSERT INTO payments (receipt, prompt_id, checkout_request_id, phone_number, amount, account_reference, "
            "party_b, paid_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def date_back() -> None:
    """Let the rows be as old as their money: `created_at` is set by the database's own clock."""
    from django.db.models import F

    Transaction.objects.update(created_at=F("completed_at") - timedelta(seconds=20))


def write_statement(path: Path, share: float) -> list[Planted]:
    """Write the week's statement with a share of planted errors; return them."""
    planted: list[Planted] = []
    start, end = START.timestamp(), (START + WEEK).timestamp() - 1
    found = statement.plant(statement.lines(start, end), share, SEED, planted)
    with path.open("w", newline="") as file:
        file.writelines(statement.csv_text(found, start, end))
    return planted


def as_findings(planted: list[Planted]) -> Counter[tuple[str, str]]:
    return Counter((FOUND_AS[kind], receipt) for kind, receipt in planted)
