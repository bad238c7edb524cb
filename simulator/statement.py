"""The organisation statement of the simulator's ledger, as M-PESA's portal exports it; with errors planted on request.

Planting depends on nothing but the share, the seed and each receipt, so that what was planted can be told afterwards.
"""

from __future__ import annotations

import csv
import io
import random
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from django.db.models import TextChoices

from simulator import credentials, identifiers, record, sms

HEADER = (
    *("Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status", "Paid In", "Withdrawn"),
    *("Balance", "Balance Confirmed", "Reason Type", "Other Party Info", "Linked Transaction ID", "A/C No."),
)
_SIX = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


class Drift(TextChoices):
    """How a planted line differs from what was paid."""

    MISSING = "missing", "left out"
    STRANGE = "strange", "a payment that nobody made"
    AMOUNT = "amount", "another amount"
    RECEIPT = "receipt", "another receipt"
    TWICE = "twice", "paid twice under one reference"
    REVERSED = "reversed", "reversed by hand in the portal"


@dataclass(frozen=True)
class Line:
    """One line; amounts in whole KES, `at` in Unix seconds."""

    receipt: str
    at: float
    details: str
    paid_in: int
    withdrawn: int
    reason: str
    party: str
    linked: str
    account: str


class Planted(NamedTuple):
    kind: Drift
    receipt: str  # as the shop can find it: the statement's own, or that of the line left out


def lines(start: float, end: float) -> Iterator[Line]:
    """Return what was paid and what went back within a time, the newest first, as the portal lists it."""
    query = (
        "SELECT receipt, paid_at AS at, amount AS paid_in, 0 AS withdrawn, phone_number, '' AS linked, "
        "account_reference AS account FROM payments WHERE paid_at BETWEEN :start AND :end "
        "UNION ALL SELECT receipt, reversed_at, 0, amount, phone_number, original_receipt, '' FROM reversals "
        "WHERE reversed_at BETWEEN :start AND :end ORDER BY at DESC, receipt"
    )
    with record.reading() as db:
        cursor = db.execute(query, {"start": start, "end": end})
        while rows := cursor.fetchmany(1000):
            yield from (_line(row) for row in rows)


def _line(facts: sqlite3.Row) -> Line:
    number = facts["phone_number"]
    party = f"{number[:4]}****{number[-3:]} - SIMULATED CUSTOMER"
    is_payment = not facts["linked"]
    return Line(
        receipt=facts["receipt"],
        at=facts["at"],
        details=f"Pay Bill from {party} Acc. {facts['account']}" if is_payment else f"Pay Bill Reversal to {party}",
        paid_in=facts["paid_in"],
        withdrawn=facts["withdrawn"],
        reason="Pay Bill Online" if is_payment else "Transaction Reversal",
        party=party,
        linked=facts["linked"],
        account=facts["account"],
    )


def plant(found: Iterable[Line], share: float, seed: int, planted: list[Planted] | None = None) -> Iterator[Line]:
    """Give about this share of the payments an error each, in turn of six kinds; note them in `planted`."""
    kinds = list(Drift)
    for line in found:
        chance = random.Random(f"{seed}|{line.receipt}")  # noqa: S311 - repeatable, not secret
        if not line.paid_in or chance.random() >= share:
            yield line
            continue
        kind = kinds[chance.randrange(len(kinds))]
        altered, receipt = _altered(line, kind, chance)
        if planted is not None:
            planted.append(Planted(kind, receipt))
        yield from altered


def _altered(line: Line, kind: Drift, chance: random.Random) -> tuple[list[Line], str]:
    """Return the lines that stand for one, and the receipt by which the difference can be found."""
    made = line.receipt[:3] + "X" + "".join(chance.choice(_SIX) for _ in range(6))
    reversal = replace(line, receipt=made, reason="Transaction Reversal", details="Pay Bill Reversal")
    reversal = replace(reversal, paid_in=0, withdrawn=line.paid_in, linked=line.receipt, account="")
    return {
        Drift.MISSING: ([], line.receipt),
        Drift.STRANGE: ([line, replace(line, receipt=made, account="NOBODY")], made),
        Drift.AMOUNT: ([replace(line, paid_in=line.paid_in + 1)], line.receipt),
        Drift.RECEIPT: ([replace(line, receipt=made)], made),
        Drift.TWICE: ([line, replace(line, receipt=made)], made),
        Drift.REVERSED: ([reversal, line], made),
    }[kind]


def csv_text(found: Iterable[Line], start: float, end: float) -> Iterator[str]:
    """Return the file piece by piece: the lines about the organisation, the header, then every line."""
    yield _row("Organization Name", sms.shop_name())
    yield _row("Short Code", credentials.short_code())
    yield _row("Time Period", f"From {_clock(start)} To {_clock(end)}")
    yield _row()
    yield _row(*HEADER)
    for line in found:
        paid_in, withdrawn = _money(line.paid_in), _money(-line.withdrawn)
        clock = _clock(line.at)
        yield _row(
            *(line.receipt, clock, clock, line.details, "Completed", paid_in, withdrawn, "", "true"),
            *(line.reason, line.party, line.linked, line.account),
        )


def _row(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _clock(moment: float) -> str:
    return f"{identifiers.nairobi(moment):%d-%m-%Y %H:%M:%S}"


def _money(amount: int) -> str:
    return f"{amount:,}.00" if amount else ""
