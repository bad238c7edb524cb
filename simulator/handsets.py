"""The phones: whether they are on, what their wallet holds, and what their next pushes meet."""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from simulator import configuration, record
from simulator.scenarios import BY_NUMBER, Delivery, Outcome, Plan, PushAnswer, QueryMode

EVERYBODY = "*"  # the row with the plan of every phone that has none of its own


_TYPED = re.compile(r"(?:\+?254|00254|0)?([17][0-9]{8})")


def normalised(typed: str) -> str | None:
    """Return a number as 254 and nine digits, None when it is none."""
    match = _TYPED.fullmatch(re.sub(r"[\s().-]", "", typed[:40]))
    return f"254{match[1]}" if match else None


def as_dialled(phone_number: str) -> str:
    """Return a number as people write it: 0712 345 678."""
    return f"0{phone_number[3:6]} {phone_number[6:9]} {phone_number[9:]}"


@dataclass(frozen=True)
class Handset:
    """One phone. `balance`: KES."""

    phone_number: str
    balance: int
    is_on: bool
    plan: Plan


def get(phone_number: str) -> Handset:
    """Return a phone; one never seen is on and has a full wallet."""
    with record.reading() as db:
        return read(db, phone_number)


def read(db: sqlite3.Connection, phone_number: str) -> Handset:
    """Return a phone as the caller's transaction sees it."""
    row = _row(db, phone_number)
    plan = _chosen(row, BY_NUMBER.get(phone_number) or _chosen(_row(db, EVERYBODY), Plan()))
    if not row:
        return Handset(phone_number, record.FIRST_BALANCE, True, plan)
    return Handset(phone_number, row["balance"], bool(row["is_on"]), plan)


def _row(db: sqlite3.Connection, phone_number: str) -> sqlite3.Row | None:
    return record.first(db, "SELECT * FROM handsets WHERE phone_number = ?", [phone_number])


def _chosen(row: sqlite3.Row | None, plan: Plan) -> Plan:
    """Return `plan` with whatever was chosen in `row` in its place."""
    if not row:
        return plan
    return Plan(
        Outcome(row["outcome"] or plan.outcome),
        Delivery(row["delivery"] or plan.delivery),
        PushAnswer(row["push"] or plan.push),
        QueryMode(row["query"] or plan.query),
    )


def remember(db: sqlite3.Connection, phone_number: str) -> None:
    db.execute("INSERT OR IGNORE INTO handsets (phone_number) VALUES (?)", [phone_number])


def change(phone_number: str, **changes: Any) -> None:
    """Set `balance`, `is_on` or a part of the plan; None gives a part back to the number's own scenario."""
    if not changes:
        return
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    with record.writing() as db:
        remember(db, phone_number)
        db.execute(
            f"UPDATE handsets SET {assignments} WHERE phone_number = :phone_number",  # noqa: S608
            {**changes, "phone_number": phone_number},
        )


def switch_off(phone_number: str) -> None:
    """Switch a phone off: whatever it shows is gone, and Daraja gives it up soon."""
    given_up_at = time.time() + configuration.seconds(configuration.UNREACHABLE)
    with record.writing() as db:
        remember(db, phone_number)
        db.execute("UPDATE handsets SET is_on = 0 WHERE phone_number = ?", [phone_number])
        db.execute(
            "UPDATE prompts SET is_shown = 0, planned_outcome = ?, planned_at = min(planned_at, ?) "
            "WHERE phone_number = ? AND outcome IS NULL AND is_shown",
            [Outcome.NO_RESPONSE.value, given_up_at, phone_number],
        )


def known(limit: int = 12) -> list[sqlite3.Row]:
    """Return number, prompts on the screen and moment of the last push of each phone, the busiest first."""
    with record.reading() as db:
        return db.execute(
            "SELECT h.phone_number, h.is_on, coalesce(sum(p.outcome IS NULL AND p.is_shown), 0) AS shown, "
            "max(p.pushed_at) AS last_push_at "
            "FROM handsets h LEFT JOIN prompts p USING (phone_number) WHERE h.phone_number != ? "
            "GROUP BY h.phone_number ORDER BY shown > 0 DESC, last_push_at DESC LIMIT ?",
            [EVERYBODY, limit],
        ).fetchall()
