"""The end of a prompt: answered once, by whomever; the ledger, the SMS and the callbacks follow in one transaction."""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import replace

from simulator import callbacks, configuration, handsets, identifiers, paybill, prompts, record, sms
from simulator.handsets import Handset
from simulator.prompts import Prompt
from simulator.scenarios import Delivery, Outcome

WRONG_PIN = "0000"
_PIN = re.compile(r"[0-9]{4}")


def is_pin(value: object) -> bool:
    return isinstance(value, str) and _PIN.fullmatch(value) is not None


def outcome_of_pin(pin: str) -> Outcome:
    """Return what a typed PIN leads to: any four digits are right, but one."""
    return Outcome.WRONG_PIN if pin == WRONG_PIN else Outcome.PAID


def settle(
    prompt_id: int,
    outcome: Outcome,
    *,
    delivery: Delivery | None = None,
    from_wallet: bool = False,
    is_held: bool = False,
) -> bool:
    """End an open prompt and schedule its callbacks; False when it had already ended.

    `delivery`: another one than the phone's own. `from_wallet`: a payment that the balance does not cover becomes
    INSUFFICIENT_FUNDS. `is_held`: the callbacks wait for `courier.deliver_held`, not for their time.
    """
    with record.writing() as db:
        row = record.first(db, "SELECT * FROM prompts WHERE id = ? AND outcome IS NULL", [prompt_id])
        if not row:
            return False
        prompt, phone = prompts.from_row(row), handsets.read(db, row["phone_number"])
        if from_wallet and outcome is Outcome.PAID and phone.balance < prompt.amount:
            outcome = Outcome.INSUFFICIENT_FUNDS
        scheduled = _end(db, prompt, phone, outcome, delivery or phone.plan.delivery)
        _schedule(db, scheduled, prompt, is_held)
    return True


def _end(
    db: sqlite3.Connection, prompt: Prompt, phone: Handset, outcome: Outcome, delivery: Delivery
) -> list[callbacks.Scheduled]:
    """Enter the outcome, the money and the SMS; return the callbacks that follow."""
    now, receipt = time.time(), ""
    if outcome is Outcome.PAID:
        receipt, phone = _pay(db, prompt, phone, now)
    _close(db, prompt, outcome, delivery, receipt, now)
    _write_sms(db, prompt, phone, outcome, receipt, now)
    if receipt:
        paybill.copy_of_prompt(db, prompt, receipt, now + configuration.seconds(configuration.CALLBACK))
    return callbacks.schedule(prompt, outcome, delivery, receipt, now)


def settle_planned(now: float) -> bool:
    """End the prompt whose own plan is longest due; False when there is none."""
    query = "SELECT * FROM prompts WHERE outcome IS NULL AND planned_at <= ? ORDER BY planned_at LIMIT 1"
    with record.reading() as db:
        row = record.first(db, query, [now])
    return row is not None and settle(row["id"], Outcome(row["planned_outcome"]))


def _pay(db: sqlite3.Connection, prompt: Prompt, phone: Handset, now: float) -> tuple[str, Handset]:
    """Enter the payment into the ledger; return its receipt and the phone with what its wallet still holds.

    Who pays more than that, by a scenario, borrows the rest.
    """
    receipt = identifiers.receipt(now)
    while record.first(db, "SELECT 1 FROM payments WHERE receipt = ?", [receipt]):
        receipt = identifiers.receipt(now)
    db.execute(
        "INSERT INTO payments (receipt, prompt_id, checkout_request_id, phone_number, amount, account_reference, "
        "party_b, paid_at) SELECT ?, id, checkout_request_id, phone_number, amount, account_reference, party_b, ? "
        "FROM prompts WHERE id = ?",
        [receipt, now, prompt.id],
    )
    phone = replace(phone, balance=max(0, phone.balance - prompt.amount))
    db.execute("UPDATE handsets SET balance = ? WHERE phone_number = ?", [phone.balance, phone.phone_number])
    return receipt, phone


def _close(
    db: sqlite3.Connection, prompt: Prompt, outcome: Outcome, delivery: Delivery, receipt: str, now: float
) -> None:
    told_at = callbacks.told_at(prompt, delivery, now)
    db.execute(
        "UPDATE prompts SET outcome = ?, delivery = ?, settled_at = ?, told_at = ?, receipt = ?, is_shown = 0 "
        "WHERE id = ?",
        [outcome.value, delivery.value, now, told_at, receipt, prompt.id],
    )


def _write_sms(
    db: sqlite3.Connection, prompt: Prompt, phone: Handset, outcome: Outcome, receipt: str, now: float
) -> None:
    if receipt:
        text = sms.confirmation(prompt, receipt, phone.balance, now)
    else:
        text = sms.failure(prompt, outcome, phone.balance)
    if text:
        values = [prompt.phone_number, now, text]
        db.execute("INSERT INTO messages (phone_number, sent_at, text) VALUES (?, ?, ?)", values)


def _schedule(db: sqlite3.Connection, scheduled: list[callbacks.Scheduled], prompt: Prompt, is_held: bool) -> None:
    state = "held" if is_held else "waiting"
    db.executemany(
        "INSERT INTO deliveries (prompt_id, due_at, body, state) VALUES (?, ?, ?, ?)",
        [(prompt.id, one.due_at, one.body, state) for one in scheduled],
    )
