"""What the shop's operator asks for, with its two answers: an acknowledgement at once, and a result posted later.

The money moves when the request is taken in, whatever then becomes of the answers: that is what the faults are for.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices

from simulator import configuration, handsets, identifiers, posts, record, sms

BETWEEN_RESULTS = 0.3  # seconds, so that two results keep their order


class Kind(TextChoices):
    """What an operator may ask for here."""

    REVERSAL = "reversal", "Reversal"
    TRANSACTION_STATUS = "transaction_status", "Transaction Status"


class Answer(TextChoices):
    """What Daraja answers at once; after the first three the request is carried out all the same."""

    ACCEPTED = "accepted", "accepted"
    LOST = "lost", "accepted, but the answer is lost"
    GATEWAY = "gateway", "accepted, but a gateway answers 504"
    INTERNAL_ERROR = "internal_error", "internal server error"
    SYSTEM_BUSY = "system_busy", "refused: system is busy"
    THROTTLED = "throttled", "throttled: 429"
    FIREWALL = "firewall", "an HTML page with 403"

    @property
    def acts(self) -> bool:
        return self in {Answer.ACCEPTED, Answer.LOST, Answer.GATEWAY}


class ResultDelivery(TextChoices):
    """What the network does with the result."""

    ONCE = "once", "once, as it should"
    TWICE = "twice", "twice"
    LATE = "late", "late"
    LOST = "lost", "lost"
    BEFORE_ANSWER = "before_answer", "before the request is answered"
    QUEUE_TIMEOUT = "queue_timeout", "the queue times out, and nothing else comes"
    CONTRADICTED = "contradicted", "success, then a failure"


@dataclass(frozen=True)
class Plan:
    """What happens to the next requests of one kind; `result`: a code that M-PESA fails them with, or empty."""

    answer: Answer = Answer.ACCEPTED
    delivery: ResultDelivery = ResultDelivery.ONCE
    result: str = ""


@dataclass(frozen=True)
class Asked:
    """One request whose fields are right. `amount`: KES; `receipt` or `about` says what it is about."""

    kind: Kind
    business_short_code: str
    result_url: str
    timeout_url: str
    is_operator: bool
    receipt: str = ""
    about: str = ""  # an OriginatorConversationID
    amount: int = 0


@dataclass(frozen=True)
class Told:
    """How M-PESA words the end of a request."""

    code: int | str
    desc: str
    receipt: str = ""
    parameters: tuple[tuple[str, Any], ...] = ()


_SUCCESS = "The service request is processed successfully."
_NO_OPERATOR = Told(2001, "The initiator information is invalid.")
_UNKNOWN_RECEIPT = Told("R000002", "The OriginalTransactionID is invalid.")
_REVERSED_BEFORE = Told("R000001", "The transaction has already been reversed.")
_TOO_MUCH = Told(1, "The balance is insufficient for the transaction.")


def plan(kind: Kind) -> Plan:
    with record.reading() as db:
        row = record.first(db, "SELECT * FROM operator_plans WHERE kind = ?", [kind.value])
    return Plan(Answer(row["answer"]), ResultDelivery(row["delivery"]), row["result"]) if row else Plan()


def change_plan(kind: Kind, changed: Plan) -> None:
    with record.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO operator_plans (kind, answer, delivery, result) VALUES (?, ?, ?, ?)",
            [kind.value, changed.answer.value, changed.delivery.value, changed.result],
        )


def carry_out(asked: Asked, planned: Plan) -> dict[str, str]:
    """Do what is asked and schedule its results, in one transaction; return the acknowledgement."""
    ids = {
        "OriginatorConversationID": identifiers.merchant_request_id(),
        "ConversationID": identifiers.conversation_id(time.time()),
    }
    with record.writing() as db:
        db.execute(
            "INSERT INTO conversations (originator_conversation_id, conversation_id, kind, receipt, asked_at) "
            "VALUES (?, ?, ?, ?, ?)",
            [*ids.values(), asked.kind.value, asked.receipt, time.time()],
        )
        told = _end(db, asked, planned, ids["OriginatorConversationID"])
        held = _schedule(db, asked, planned.delivery, _body(told, ids))
    for post_id in held:
        posts.deliver(post_id)
    return {**ids, "ResponseCode": "0", "ResponseDescription": "Accept the service request successfully."}


def _end(db: sqlite3.Connection, asked: Asked, planned: Plan, originator_conversation_id: str) -> Told:
    if not asked.is_operator:
        return _NO_OPERATOR
    if planned.result:
        return Told(planned.result, "The simulator was told to say so.")
    if asked.kind is Kind.REVERSAL:
        return _reverse(db, asked, originator_conversation_id)
    return _status(db, asked)


def _reverse(db: sqlite3.Connection, asked: Asked, originator_conversation_id: str) -> Told:
    paid = record.first(db, "SELECT * FROM payments WHERE receipt = ?", [asked.receipt])
    if not paid:
        return _UNKNOWN_RECEIPT
    if record.first(db, "SELECT 1 FROM reversals WHERE original_receipt = ?", [asked.receipt]):
        return _REVERSED_BEFORE
    if asked.amount > paid["amount"]:
        return _TOO_MUCH
    now = time.time()
    receipt = identifiers.receipt(now)
    db.execute(
        "INSERT INTO reversals (receipt, original_receipt, originator_conversation_id, phone_number, amount, "
        "reversed_at) VALUES (?, ?, ?, ?, ?, ?)",
        [receipt, asked.receipt, originator_conversation_id, paid["phone_number"], asked.amount, now],
    )
    phone = handsets.read(db, paid["phone_number"])
    balance = phone.balance + asked.amount
    db.execute("UPDATE handsets SET balance = ? WHERE phone_number = ?", [balance, phone.phone_number])
    text = sms.reversal(receipt, asked.receipt, asked.amount, balance, now)
    db.execute("INSERT INTO messages (phone_number, sent_at, text) VALUES (?, ?, ?)", [phone.phone_number, now, text])
    return Told(0, _SUCCESS, receipt, _reversal_parameters(asked, paid["phone_number"], now))


def _reversal_parameters(asked: Asked, phone_number: str, now: float) -> tuple[tuple[str, Any], ...]:
    return (
        ("DebitAccountBalance", "Utility Account|KES|7722179.62|7722179.62|0.00|0.00"),
        ("Amount", asked.amount),
        ("TransCompletedTime", int(identifiers.timestamp(now))),
        ("OriginalTransactionID", asked.receipt),
        ("Charge", 0),
        ("CreditPartyPublicName", f"{phone_number} - Simulated Customer"),
        ("DebitPartyPublicName", f"{asked.business_short_code} - Simulated Shop"),
    )


def _status(db: sqlite3.Connection, asked: Asked) -> Told:
    """Tell of a payment or a reversal, in the odd form of the true ones: one name twice, one value missing."""
    paid = record.first(db, "SELECT *, paid_at AS at FROM payments WHERE receipt = ?", [asked.receipt])
    back = record.first(
        db,
        "SELECT *, reversed_at AS at FROM reversals WHERE receipt = ? OR originator_conversation_id = ?",
        [asked.receipt, asked.about],
    )
    found = paid or back
    if not found:
        return _UNKNOWN_RECEIPT
    customer, shop = f"{found['phone_number']} - Simulated Customer", f"{asked.business_short_code} - Simulated Shop"
    parameters = (
        ("DebitPartyName", customer if paid else shop),
        ("DebitPartyName", customer if paid else shop),
        ("CreditPartyName", shop if paid else customer),
        ("DebitAccountType", "MMF Account For Customer" if paid else "Utility Account"),
        ("InitiatedTime", int(identifiers.timestamp(found["at"]))),
        ("TransactionReason", None),
        ("ReasonType", "Pay Bill Online" if paid else "Transaction Reversal"),
        ("TransactionStatus", "Completed"),
        ("FinalisedTime", int(identifiers.timestamp(found["at"]))),
        ("Amount", found["amount"]),
        ("ReceiptNo", found["receipt"]),
    )
    return Told(0, _SUCCESS, identifiers.receipt(time.time()), parameters)


def _body(told: Told, ids: dict[str, str]) -> Callable[[Told | None], bytes]:
    """Return what writes the result as Daraja does: itself, or another one with the same ids."""

    def write(other: Told | None = None) -> bytes:
        end = other or told
        result: dict[str, Any] = {
            "ResultType": 0,
            "ResultCode": end.code,
            "ResultDesc": end.desc,
            **ids,
            "TransactionID": end.receipt or identifiers.receipt(time.time()),
        }
        if end.parameters:
            listed = [{"Key": key} if value is None else {"Key": key, "Value": value} for key, value in end.parameters]
            result["ResultParameters"] = {"ResultParameter": listed}
        result["ReferenceData"] = {"ReferenceItem": {"Key": "QueueTimeoutURL", "Value": "as given"}}
        return json.dumps({"Result": result}).encode()

    return write


def _schedule(
    db: sqlite3.Connection, asked: Asked, delivery: ResultDelivery, write: Callable[[Told | None], bytes]
) -> list[int]:
    """Enter the POSTs that follow; return the ids of those that must come before the request is answered."""
    due_at = time.time() + configuration.seconds(configuration.RESULT)
    if delivery is ResultDelivery.LATE:
        due_at = time.time() + configuration.seconds(configuration.LATE)
    url, body, failure = asked.result_url, write(None), write(Told(11, "The DebitParty is in an invalid state."))
    planned: dict[ResultDelivery, list[tuple[str, bytes, float]]] = {
        ResultDelivery.LOST: [],
        ResultDelivery.TWICE: [(url, body, due_at), (url, body, due_at)],
        ResultDelivery.QUEUE_TIMEOUT: [(asked.timeout_url, body, due_at)],
        ResultDelivery.CONTRADICTED: [(url, body, due_at), (url, failure, due_at + BETWEEN_RESULTS)],
    }
    is_held = delivery is ResultDelivery.BEFORE_ANSWER
    ids = [
        posts.schedule(
            db, url=where, business_short_code=asked.business_short_code, body=what, due_at=when, is_held=is_held
        )
        for where, what, when in planned.get(delivery, [(url, body, due_at)])
    ]
    return ids if is_held else []


def reversals(original_receipt: str = "") -> list[dict[str, Any]]:
    """Return what really went back, the oldest first: of one payment, or all of it."""
    query = "SELECT * FROM reversals WHERE :receipt = '' OR original_receipt = :receipt ORDER BY reversed_at"
    with record.reading() as db:
        rows = db.execute(query, {"receipt": original_receipt}).fetchall()
    return [{**dict(row), "reversed_at": identifiers.nairobi(row["reversed_at"]).isoformat()} for row in rows]
