"""The pushes that Daraja accepted, as rows: what was asked, of whom, and what became of it."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, fields

from simulator import configuration, handsets, identifiers, record
from simulator.handsets import Handset
from simulator.scenarios import Delivery, Outcome

BUY_GOODS = "CustomerBuyGoodsOnline"
PAY_BILL = "CustomerPayBillOnline"


@dataclass(frozen=True)
class Push:
    """A push whose every field is right. `amount`: KES."""

    phone_number: str
    amount: int
    account_reference: str
    transaction_desc: str
    transaction_type: str
    business_short_code: str
    party_b: str
    callback_url: str

    @property
    def is_till(self) -> bool:
        return self.transaction_type == BUY_GOODS


@dataclass(frozen=True)
class Prompt(Push):
    """A push that was accepted; `outcome` is None while it is open. Times: Unix seconds.

    `told_at`: when queries begin to tell the outcome. `planned_*`: what happens if nobody answers on the handset.
    """

    id: int
    merchant_request_id: str
    checkout_request_id: str
    query: str
    pushed_at: float
    is_shown: int
    planned_outcome: str | None
    planned_at: float | None
    outcome: str | None
    delivery: str | None
    settled_at: float | None
    told_at: float | None
    receipt: str
    queries: int

    @property
    def is_open(self) -> bool:
        return self.outcome is None


_COLUMNS = [field.name for field in fields(Prompt)]


def from_row(row: sqlite3.Row) -> Prompt:
    return Prompt(**{name: row[name] for name in _COLUMNS})


def open_prompt(push: Push) -> Prompt:
    """Record an accepted push, with what happens to it if nobody answers on the handset page."""
    now = time.time()
    with record.writing() as db:
        handsets.remember(db, push.phone_number)
        phone = handsets.read(db, push.phone_number)
        planned_outcome, delay, is_shown = _planned(phone)
        values = {
            **vars(push),
            "merchant_request_id": identifiers.merchant_request_id(),
            "checkout_request_id": _unused_id(db, push.phone_number, now),
            "query": phone.plan.query.value,
            "pushed_at": now,
            "is_shown": is_shown,
            "planned_outcome": planned_outcome,
            "planned_at": None if planned_outcome is None else now + delay,
        }
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        rows = db.execute(f"INSERT INTO prompts ({names}) VALUES ({marks}) RETURNING *", values).fetchall()  # noqa: S608
        return from_row(rows[0])


def _planned(phone: Handset) -> tuple[str | None, float, bool]:
    """Return what becomes of a new prompt by itself, after how many seconds, and whether the phone shows it."""
    outcome = phone.plan.outcome
    if outcome is Outcome.SILENT:
        return None, 0, False
    if not phone.is_on:
        return Outcome.NO_RESPONSE.value, configuration.seconds(configuration.UNREACHABLE), False
    if phone.plan.delivery is Delivery.BEFORE_ANSWER and outcome is Outcome.ASK:
        outcome = Outcome.PAID
    if outcome is Outcome.ASK:
        return Outcome.NO_RESPONSE.value, configuration.seconds(configuration.PROMPT), True
    is_shown = outcome not in {Outcome.NO_RESPONSE, Outcome.NOT_SENT}
    return outcome.value, configuration.seconds(configuration.ANSWER), is_shown


def _unused_id(db: sqlite3.Connection, phone_number: str, now: float) -> str:
    while True:
        checkout_request_id = identifiers.checkout_request_id(phone_number, now)
        if not record.first(db, "SELECT 1 FROM prompts WHERE checkout_request_id = ?", [checkout_request_id]):
            return checkout_request_id


def note_refusal(phone_number: str, status: int, message: str) -> None:
    """Record a push that Daraja did not accept."""
    values = [time.time(), phone_number, status, message]
    with record.writing() as db:
        if phone_number:
            handsets.remember(db, phone_number)
        db.execute("INSERT INTO refusals (refused_at, phone_number, status, message) VALUES (?, ?, ?, ?)", values)


def find(checkout_request_id: str) -> Prompt | None:
    with record.reading() as db:
        row = record.first(db, "SELECT * FROM prompts WHERE checkout_request_id = ?", [checkout_request_id])
    return from_row(row) if row else None


def of_phone(phone_number: str, limit: int = 50) -> list[Prompt]:
    """Return the prompts of a phone, the newest first."""
    query = "SELECT * FROM prompts WHERE phone_number = ? ORDER BY id DESC LIMIT ?"
    with record.reading() as db:
        return [from_row(row) for row in db.execute(query, [phone_number, limit]).fetchall()]


def count_query(prompt: Prompt) -> int:
    """Record that Daraja was asked about a payment; return how often by now."""
    with record.writing() as db:
        db.execute("UPDATE prompts SET queries = queries + 1 WHERE id = ?", [prompt.id])
        row = record.first(db, "SELECT queries FROM prompts WHERE id = ?", [prompt.id])
    return int(row["queries"]) if row else 0


def put_aside(prompt_id: int) -> None:
    """Take a prompt off the screen unanswered: it runs out by itself."""
    with record.writing() as db:
        db.execute("UPDATE prompts SET is_shown = 0 WHERE id = ? AND outcome IS NULL", [prompt_id])
