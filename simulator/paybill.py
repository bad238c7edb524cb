"""Money that a phone sends by hand, to the shop's PayBill or till: validated, entered, confirmed to the shop.

The confirmation goes out once, with the same delivery faults as a prompt's callback. It is told for a prompt's payment
too when the simulator is told so (`copies`): with URLs registered, Safaricom's portal lists that as possible.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

import requests
from django.db.models import TextChoices

from simulator import configuration, credentials, handsets, identifiers, posts, record, sms
from simulator.prompts import Prompt
from simulator.scenarios import Delivery

VALIDATION_TIMEOUT = 8  # seconds, then M-PESA does as ResponseType says
LARGEST_AMOUNT = 250_000  # KES


class Copies(TextChoices):
    """Whether a prompt's payment is confirmed as C2B too."""

    NONE = "none", "no"
    AFTER = "after", "yes, after its callback"
    BEFORE = "before", "yes, before its callback"


@dataclass(frozen=True)
class Registered:
    """Where the shop wants to hear of payments; `cancels`: what M-PESA does when validation is not answered."""

    confirmation_url: str
    validation_url: str
    cancels: bool
    validates: bool
    copies: Copies


@dataclass(frozen=True)
class Paid:
    """What the phone is told: a receipt, or why not."""

    receipt: str = ""
    problem: str = ""


def registered() -> Registered | None:
    with record.reading() as db:
        row = record.first(db, "SELECT * FROM c2b WHERE short_code = ?", [credentials.short_code()])
    if row is None:
        return None
    cancels, validates = bool(row["cancels"]), bool(row["validates"])
    return Registered(row["confirmation_url"], row["validation_url"], cancels, validates, Copies(row["copies"]))


def register(confirmation_url: str, validation_url: str, *, cancels: bool) -> None:
    """Keep the URLs; as in the sandbox, new ones replace the old."""
    with record.writing() as db:
        db.execute(
            "INSERT INTO c2b (short_code, confirmation_url, validation_url, cancels) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (short_code) DO UPDATE SET confirmation_url = excluded.confirmation_url, "
            "validation_url = excluded.validation_url, cancels = excluded.cancels",
            [credentials.short_code(), confirmation_url, validation_url, cancels],
        )


def change(**changes: Any) -> bool:
    """Set `validates` or `copies`; False while the shop has registered nothing."""
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    with record.writing() as db:
        values = {**changes, "short_code": credentials.short_code()}
        return db.execute(f"UPDATE c2b SET {assignments} WHERE short_code = :short_code", values).rowcount > 0  # noqa: S608


# One payment ----------------------------------------------------------------------------------------------------


def pay(phone_number: str, business: str, account: str, amount: int, *, delivery: Delivery | None = None) -> Paid:
    """Send `amount` KES by hand; `delivery`: what becomes of the confirmation, else the phone's own way."""
    till = credentials.till_number()
    if business not in {till, credentials.short_code()} - {""}:
        return _failed(phone_number, f"the business number {business or '(none)'} does not exist")
    phone, receiver = handsets.get(phone_number), registered()
    if not phone.is_on:
        return Paid(problem="This phone is off.")
    if phone.balance < amount:
        return _failed(phone_number, f"you do not have enough money; your balance is {sms.shillings(phone.balance)}")
    told = Told(phone_number, business, "" if business == till else account, amount, identifiers.receipt(time.time()))
    if receiver and receiver.validates and not _is_welcome(receiver, told):
        return _failed(phone_number, f"{sms.shop_name()} does not take this payment: check account and amount")
    return _enter(told, receiver, delivery or phone.plan.delivery)


def _failed(phone_number: str, why: str) -> Paid:
    with record.writing() as db:
        handsets.remember(db, phone_number)
        _write_sms(db, phone_number, f"Failed. {why[:1].upper()}{why[1:]}.")
    return Paid(problem=f"{why[:1].upper()}{why[1:]}.")


def _write_sms(db: sqlite3.Connection, phone_number: str, text: str) -> None:
    db.execute("INSERT INTO messages (phone_number, sent_at, text) VALUES (?, ?, ?)", [phone_number, time.time(), text])


def _enter(told: Told, receiver: Registered | None, delivery: Delivery) -> Paid:
    """Enter money, SMS and confirmations in one transaction. A payment by hand has a negative prompt_id."""
    now = time.time()
    with record.writing() as db:
        handsets.remember(db, told.phone_number)
        balance = handsets.read(db, told.phone_number).balance - told.amount
        db.execute(
            "INSERT INTO payments (receipt, prompt_id, checkout_request_id, phone_number, amount, account_reference, "
            "party_b, paid_at) VALUES (?, (SELECT min(0, coalesce(min(prompt_id), 0)) - 1 FROM payments), '', ?, ?, ?, "
            "?, ?)",
            [told.receipt, told.phone_number, told.amount, told.account, told.business, now],
        )
        db.execute("UPDATE handsets SET balance = ? WHERE phone_number = ?", [balance, told.phone_number])
        _write_sms(db, told.phone_number, sms.paid_by_hand(told.receipt, told.amount, told.account, balance, now))
        if receiver:
            _schedule(db, receiver.confirmation_url, told, delivery, now)
    return Paid(told.receipt)


# What M-PESA tells the shop -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """The facts of one payment as validation and confirmation tell them. `amount`: KES."""

    phone_number: str
    business: str
    account: str
    amount: int
    receipt: str

    def body(self, *, is_odd: bool = False, **changes: Any) -> bytes:
        """Return the JSON as Daraja writes it: every value a string, the payer masked; oddly: numbers and a hash.

        `changes`: other values by Daraja's names, None to leave one out.
        """
        number, till = self.phone_number, credentials.till_number()
        told: dict[str, Any] = {
            "TransactionType": "Buy Goods" if self.business == till else "Pay Bill",
            "TransID": self.receipt,
            "TransTime": identifiers.timestamp(time.time()),
            "TransAmount": self.amount if is_odd else f"{self.amount}.00",
            "BusinessShortCode": int(credentials.short_code()) if is_odd else credentials.short_code(),
            "BillRefNumber": f" {self.account.lower()} " if is_odd else self.account,
            "InvoiceNumber": "",
            "OrgAccountBalance": "49197.00",
            "ThirdPartyTransID": "",
            "MSISDN": "f5a1c2" * 10 if is_odd else f"{number[:4]} ***** {number[-3:]}",
            "FirstName": "SIMULATED",
            "MiddleName": "",
            "LastName": "",
            **changes,
        }
        return json.dumps({name: value for name, value in told.items() if value is not None}).encode()


def _is_welcome(receiver: Registered, told: Told) -> bool:
    try:
        answer = requests.post(
            receiver.validation_url,
            data=told.body(),
            headers={"Content-Type": "application/json;charset=UTF-8"},
            timeout=VALIDATION_TIMEOUT,
            allow_redirects=False,
        )
        code = str(answer.json().get("ResultCode"))
    except (requests.RequestException, ValueError, AttributeError):
        return not receiver.cancels
    return code == "0"


def _schedule(db: sqlite3.Connection, url: str, told: Told, delivery: Delivery, now: float) -> None:
    due_at = now + configuration.seconds(configuration.CALLBACK)
    if delivery is Delivery.LATE:
        due_at = now + configuration.seconds(configuration.LATE)
    elif delivery is Delivery.AFTER_EXPIRY:
        due_at = now + configuration.expire_after()
    for body in _bodies(told, delivery):
        posts.schedule(db, url=url, business_short_code=told.business, body=body, due_at=due_at)


def _bodies(told: Told, delivery: Delivery) -> list[bytes]:
    """Return what is posted: a confirmation knows no failure, so what makes no sense here comes as it should."""
    true = told.body()
    altered = {
        Delivery.LOST: [],
        Delivery.TWICE: [true, true],
        Delivery.ODD: [told.body(is_odd=True)],
        Delivery.MALFORMED: [true[: len(true) // 2]],
        Delivery.WRONG_AMOUNT: [told.body(TransAmount=f"{told.amount - 1 or 2}.00")],
        Delivery.NO_AMOUNT: [told.body(TransAmount=None)],
        Delivery.UNKNOWN_ID: [told.body(BillRefNumber="NOBODY")],
    }
    return altered.get(delivery, [true])


def copy_of_prompt(db: sqlite3.Connection, prompt: Prompt, receipt: str, callback_due_at: float) -> None:
    """Schedule the C2B confirmation of a payment by prompt, where the simulator is told to."""
    row = record.first(db, "SELECT * FROM c2b WHERE short_code = ?", [prompt.business_short_code])
    if not row or row["copies"] == Copies.NONE:
        return
    told = Told(prompt.phone_number, prompt.party_b, prompt.account_reference, prompt.amount, receipt)
    due_at = callback_due_at + (0.05 if row["copies"] == Copies.AFTER else -0.05)
    posts.schedule(db, url=row["confirmation_url"], business_short_code=told.business, body=told.body(), due_at=due_at)
