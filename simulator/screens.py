"""What the handset page shows, as plain values for its templates."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from simulator import handsets, identifiers, inspection, prompts, sms
from simulator.handsets import Handset
from simulator.prompts import Prompt
from simulator.scenarios import Delivery, Outcome, PushAnswer, QueryMode

SHOWN_EVENTS = 8
SHOWN_MESSAGES = 3
_SOON_FAILED = {"sent": "ok", "failed": "stop", "sending": "wait", "waiting": "wait", "held": "wait"}


def clock(moment: float) -> str:
    return f"{identifiers.nairobi(moment):%H:%M}"


def exact_clock(moment: float) -> str:
    return f"{identifiers.nairobi(moment):%H:%M:%S}"


def phone_screen(phone: Handset) -> dict[str, Any]:
    """Return the face of one phone and what happened around it; nothing in it changes from second to second."""
    now = time.time()
    of_phone = prompts.of_phone(phone.phone_number)
    waiting = [prompt for prompt in of_phone if prompt.is_open and prompt.is_shown]
    return {
        "number": phone.phone_number,
        "dialled": handsets.as_dialled(phone.phone_number),
        "is_on": phone.is_on,
        "clock": clock(now),
        "date": f"{identifiers.nairobi(now):%A}, {identifiers.nairobi(now).day} {identifiers.nairobi(now):%B}",
        "balance": sms.shillings(phone.balance),
        "prompt": _question(waiting[0]) if waiting else None,
        "behind": len(waiting) - 1,
        "messages": _messages(phone.phone_number),
        "events": _events(of_phone, phone.phone_number),
    }


def _messages(phone_number: str) -> list[dict[str, str]]:
    rows = inspection.messages(phone_number, limit=SHOWN_MESSAGES)
    return [{"clock": clock(row["sent_at"]), "text": row["text"]} for row in rows]


def _question(prompt: Prompt) -> dict[str, Any]:
    text, amount = sms.question(prompt), sms.spaced_shillings(prompt.amount)
    before, _, after = text.partition(amount)
    return {"id": prompt.id, "text": text, "before": before.strip(), "sum": amount, "after": after.strip()}


# What happened --------------------------------------------------------------------------------------------------


def _events(of_phone: list[Prompt], phone_number: str) -> list[dict[str, Any]]:
    """Return pushes, refusals and payments by hand, the newest first."""
    events = [(prompt.pushed_at, _prompt_event(prompt)) for prompt in of_phone[:SHOWN_EVENTS]]
    refused = inspection.refusals(phone_number, limit=SHOWN_EVENTS)
    events += [(row["refused_at"], _refusal_event(row)) for row in refused]
    by_hand = inspection.paid_by_hand(phone_number, limit=SHOWN_EVENTS)
    events += [(row["paid_at"], _by_hand_event(row)) for row in by_hand]
    events.sort(key=lambda event: event[0], reverse=True)
    return [{"clock": exact_clock(moment), **event} for moment, event in events[:SHOWN_EVENTS]]


def _refusal_event(row: sqlite3.Row) -> dict[str, Any]:
    return {"tone": "stop", "word": "Push refused", "what": f"HTTP {row['status']}, {row['message']}", "lines": []}


def _by_hand_event(row: sqlite3.Row) -> dict[str, Any]:
    account = f" for {row['account_reference']}" if row["account_reference"] else ""
    posted = inspection.confirmations(row["receipt"])
    lines = [{"tone": _SOON_FAILED[one["state"]], "text": _delivery_text(one, "Confirmation")} for one in posted]
    lost = {"tone": "stop", "text": "No confirmation goes to the shop. The customer can send it the code."}
    what = f"{sms.shillings(row['amount'])} by hand{account}"
    return {"tone": "ok", "word": f"Paid {row['receipt']}", "what": what, "lines": lines or [lost]}


def _prompt_event(prompt: Prompt) -> dict[str, Any]:
    what = f"{sms.shillings(prompt.amount)} for {prompt.account_reference}"
    tone, word = _state(prompt)
    return {"tone": tone, "word": word, "what": what, "lines": [*_lines(prompt)]}


def _state(prompt: Prompt) -> tuple[str, str]:
    code, desc = inspection.result_of(prompt)
    if code == "0":
        return "ok", f"Paid {prompt.receipt}"
    if code:
        return "stop", f"Not paid: {desc.rstrip('.')} ({code})"
    if prompt.is_shown:
        return "wait", "On the phone"
    return "wait", "Silence" if prompt.planned_at is None else "Unanswered"


def _lines(prompt: Prompt) -> list[dict[str, str]]:
    """Return a line for each callback, or for its absence."""
    if prompt.is_open:
        ends = "No answer will ever come." if prompt.planned_at is None else _ending(prompt)
        return [{"tone": "wait", "text": ends}]
    rows = inspection.deliveries(prompt)
    if not rows:
        return [{"tone": "stop", "text": "The callback is lost. Only a query can tell the shop."}]
    return [{"tone": _SOON_FAILED[row["state"]], "text": _delivery_text(row)} for row in rows]


def _ending(prompt: Prompt) -> str:
    return f"Ends by itself at {exact_clock(prompt.planned_at or 0)}."


def _delivery_text(row: sqlite3.Row, what: str = "Callback") -> str:
    if row["state"] == "sent":
        return f"{what} at {exact_clock(row['sent_at'])}: the shop answered {row['status']}."
    if row["state"] == "failed":
        return f"{what} at {exact_clock(row['sent_at'])} did not arrive: {row['problem']}."
    if row["state"] == "sending":
        return f"{what} sent at {exact_clock(row['sent_at'])}, no answer so far."
    return f"{what} due at {exact_clock(row['due_at'])}."


# The other pages ------------------------------------------------------------------------------------------------


def choices(phone: Handset) -> list[dict[str, Any]]:
    """Return the four menus of what the next payments of a phone meet."""
    plan = phone.plan
    menus = (
        ("outcome", "The customer", Outcome, plan.outcome),
        ("delivery", "The callback comes", Delivery, plan.delivery),
        ("push", "Daraja's answer to the push", PushAnswer, plan.push),
        ("query", "Daraja answers queries", QueryMode, plan.query),
    )
    return [
        {"name": name, "label": label, "options": options.choices, "chosen": chosen.value}
        for name, label, options, chosen in menus
    ]


def phone_list() -> list[dict[str, Any]]:
    """Return every phone that was ever asked, those with a prompt on the screen first."""
    return [
        {
            "number": row["phone_number"],
            "dialled": handsets.as_dialled(row["phone_number"]),
            "shown": row["shown"],
            "is_on": bool(row["is_on"]),
            "last": clock(row["last_push_at"]) if row["last_push_at"] else "",
        }
        for row in handsets.known()
    ]
