"""Read the record as plain data, for the handset page and the control API."""

from __future__ import annotations

import sqlite3
from typing import Any

from simulator import handsets, identifiers, prompts, record
from simulator.prompts import Prompt
from simulator.scenarios import RESULTS, Outcome

PAYMENT_FIELDS = "receipt, checkout_request_id, phone_number, amount, account_reference, party_b, paid_at"


def ledger(*, phone_number: str = "", account_reference: str = "") -> list[dict[str, Any]]:
    """Return what was really paid, the oldest first: by one phone, for one account reference, or all of it."""
    query = (
        f"SELECT {PAYMENT_FIELDS} FROM payments WHERE (:phone = '' OR phone_number = :phone) "  # noqa: S608
        "AND (:reference = '' OR account_reference = :reference) ORDER BY paid_at, receipt"
    )
    values = {"phone": phone_number, "reference": account_reference}
    with record.reading() as db:
        rows = db.execute(query, values).fetchall()
    return [{**dict(row), "paid_at": identifiers.nairobi(row["paid_at"]).isoformat()} for row in rows]


def refusals(phone_number: str, limit: int = 50) -> list[sqlite3.Row]:
    """Return the pushes to a phone that Daraja refused, the newest first."""
    query = "SELECT * FROM refusals WHERE phone_number = ? ORDER BY id DESC LIMIT ?"
    with record.reading() as db:
        return db.execute(query, [phone_number, limit]).fetchall()


def paid_by_hand(phone_number: str, limit: int = 50) -> list[sqlite3.Row]:
    """Return what a phone paid without a prompt, the newest first."""
    query = "SELECT * FROM payments WHERE phone_number = ? AND prompt_id < 0 ORDER BY paid_at DESC LIMIT ?"
    with record.reading() as db:
        return db.execute(query, [phone_number, limit]).fetchall()


def confirmations(receipt: str) -> list[sqlite3.Row]:
    """Return what is posted to the shop about a payment by hand, in the order in which it is due."""
    query = "SELECT * FROM posts WHERE instr(body, CAST(? AS BLOB)) > 0 ORDER BY due_at, id"
    with record.reading() as db:
        return db.execute(query, [f'"TransID": "{receipt}"']).fetchall()


def deliveries(prompt: Prompt) -> list[sqlite3.Row]:
    """Return the callbacks of a prompt in the order in which they are due."""
    with record.reading() as db:
        return db.execute("SELECT * FROM deliveries WHERE prompt_id = ? ORDER BY due_at, id", [prompt.id]).fetchall()


def messages(phone_number: str, limit: int = 5) -> list[sqlite3.Row]:
    """Return the SMS of a phone, the newest first."""
    query = "SELECT * FROM messages WHERE phone_number = ? ORDER BY id DESC LIMIT ?"
    with record.reading() as db:
        return db.execute(query, [phone_number, limit]).fetchall()


def result_of(prompt: Prompt) -> tuple[str, str]:
    """Return code and text of a prompt's result, empty while it is open."""
    if prompt.outcome is None:
        return "", ""
    result = RESULTS[Outcome(prompt.outcome)]
    return str(result.code), result.desc


def phone_document(phone_number: str) -> dict[str, Any]:
    """Return everything about one phone, for a script."""
    phone = handsets.get(phone_number)
    return {
        "phone_number": phone_number,
        "is_on": phone.is_on,
        "balance": phone.balance,
        **{name: value.value for name, value in vars(phone.plan).items()},
        "prompts": [prompt_document(prompt) for prompt in prompts.of_phone(phone_number)],
        "refused": [{"status": row["status"], "message": row["message"]} for row in refusals(phone_number)],
        "messages": [row["text"] for row in messages(phone_number)],
    }


def prompt_document(prompt: Prompt) -> dict[str, Any]:
    """Return one accepted push with its callbacks; `outcome` is null while it is open.

    `settled_at`, when the phone answered, and `called_back_at`, when the first callback left: Unix seconds, or null.
    """
    code, _ = result_of(prompt)
    callbacks = deliveries(prompt)
    names = ("merchant_request_id", "checkout_request_id", "phone_number", "amount", "account_reference")
    return {
        **{name: getattr(prompt, name) for name in names},
        "transaction_desc": prompt.transaction_desc,
        "transaction_type": prompt.transaction_type,
        "party_b": prompt.party_b,
        "callback_url": prompt.callback_url,
        "pushed_at": identifiers.nairobi(prompt.pushed_at).isoformat(),
        "is_shown": bool(prompt.is_shown),
        "outcome": prompt.outcome,
        "settled_at": prompt.settled_at,
        "delivery": prompt.delivery,
        "result_code": code or None,
        "receipt": prompt.receipt or None,
        "queries": prompt.queries,
        "called_back_at": min((row["sent_at"] for row in callbacks if row["sent_at"]), default=None),
        "callbacks": [
            {"state": row["state"], "status": row["status"], "problem": row["problem"] or None} for row in callbacks
        ],
    }


def totals() -> dict[str, int]:
    """Return how much of everything the record holds; amounts in KES."""
    query = (
        "SELECT (SELECT count(*) FROM prompts) AS pushes_accepted, (SELECT count(*) FROM refusals) AS pushes_refused, "
        "(SELECT count(*) FROM prompts WHERE outcome IS NULL) AS prompts_open, "
        "(SELECT count(*) FROM payments) AS payments, (SELECT coalesce(sum(amount), 0) FROM payments) AS amount_paid, "
        "(SELECT count(*) FROM deliveries WHERE state = 'waiting') AS callbacks_waiting, "
        "(SELECT coalesce(sum(queries), 0) FROM prompts) AS queries, "
        "(SELECT coalesce(sum(issued), 0) FROM tokens) AS tokens_issued"
    )
    with record.reading() as db:
        return dict(db.execute(query).fetchall()[0])
