"""Payments in every state a customer can meet, made the way they come about; only time is pushed along by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.client import Shop, as_stored, new_phone_number
from tests.conftest import Payment, start_payment
from tests.fake_daraja import Answer, FakeDaraja, refusal
from tests.server import RunningServer

MOMENTS = ("created_at", "prompted_at", "failed_at")


@dataclass
class Stage:
    """All that takes part in a payment."""

    server: RunningServer
    shop: Shop
    daraja: FakeDaraja

    def start(self) -> Payment:
        self.daraja.behave()
        return start_payment(self.shop, self.daraja)

    def told(self, code: Any, description: str = "As told.", **items: Any) -> Payment:
        """Return a payment that Daraja has called back about."""
        payment = self.start()
        payment.push.post(payment.push.callback(code=code, description=description, **items))
        return payment

    def aged(self, seconds: float) -> Payment:
        """Return an open payment whose prompt is so old."""
        payment = self.start()
        self.let_pass(payment, seconds)
        return payment

    def let_pass(self, payment: Payment, seconds: float) -> None:
        """Move what a payment's page counts from into the past; the shop never gives up on it by itself here."""
        row = self._row(payment)
        earlier = {
            name: (datetime.fromisoformat(row[name]) - timedelta(seconds=seconds)).isoformat(sep=" ")
            for name in MOMENTS
            if row[name]
        }
        self.change(payment, **earlier)

    def change(self, payment: Payment, **columns: Any) -> None:
        """Write columns for what takes minutes, or staff, to come about."""
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with closing(self._connect()) as connection, connection:
            connection.execute(
                f"UPDATE payments_transaction SET {assignments} WHERE id = :id",
                {**columns, "id": payment.id.replace("-", "")},
            )

    def _row(self, payment: Payment) -> sqlite3.Row:
        with closing(self._connect()) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(
                "SELECT * FROM payments_transaction WHERE id = ?", [payment.id.replace("-", "")]
            ).fetchone()
        assert isinstance(found, sqlite3.Row)
        return found

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.server.directory / "shop.sqlite3", timeout=20)

    def refused(self, answer: Answer | None, *, token: Answer | None = None) -> Payment:
        """Return a payment whose push Daraja answered so; `token`: what it said when asked for one before."""
        self.daraja.behave()
        if token:
            self.daraja.on_token = lambda: token
            self.daraja.tokens.clear()
        if answer:
            self.daraja.on_push = lambda push: answer
        order, phone_number = self.shop.order(), new_phone_number()
        said = self.shop.push(order["order_id"], phone_number).json()
        self.daraja.behave()
        document = self.shop.status(said["transaction_id"])
        pushes = self.daraja.pushes_to(as_stored(phone_number))
        return Payment(order, document, pushes[-1] if pushes else None)  # type: ignore[arg-type]


def sending(stage: Stage) -> Payment:
    """No answer to the push came: nobody knows whether the prompt is on the phone."""
    return stage.refused(Answer(drops=True))


def unexplained(stage: Stage) -> Payment:
    return given_up(stage, reason="unknown", result_code="4999")


def given_up(stage: Stage, *, reason: str = "expired", result_code: str = "") -> Payment:
    payment = stage.start()
    failed_at = datetime.fromisoformat(stage._row(payment)["created_at"]).isoformat(sep=" ")
    stage.change(
        payment, status="FAILED", reason=reason, result_code=result_code, failed_by="expiry", failed_at=failed_at,
        version=2, check_after=None,
    )  # fmt: skip
    return payment


def late(stage: Stage) -> Payment:
    payment = stage.told(1032)
    payment.push.succeed()
    return payment


def paid_twice(stage: Stage) -> Payment:
    """The first attempt is refused, the second pays, and then the first one's money arrives after all."""
    first = stage.told(1032)
    phone_number = new_phone_number()
    second = stage.shop.push(first.order_id, phone_number)
    assert second.status_code == 201, second.text
    stage.daraja.push_for(as_stored(phone_number)).succeed()
    first.push.succeed()
    return first


def earlier_paid(stage: Stage) -> Payment:
    """The money of a first attempt arrives while the second prompt is on the phone."""
    first = stage.told(1032)
    phone_number = new_phone_number()
    document = stage.shop.push(first.order_id, phone_number).json()
    first.push.succeed()
    return Payment(first.order, document, stage.daraja.push_for(as_stored(phone_number)))


def refunded(stage: Stage) -> Payment:
    payment = stage.told(0)
    stage.change(payment, refunded_amount=payment.document["amount"], version=3)
    return payment


@dataclass(frozen=True)
class State:
    """`make` brings a payment there; `heading` is what its page then says in English; `query` as the browser asks."""

    heading: str
    make: Callable[[Stage], Payment]
    query: str = ""


STATES: dict[str, State] = {
    "sending": State("Asking M-PESA", sending),
    "waiting": State("Check your phone", Stage.start),
    "no prompt yet": State("Check your phone", lambda stage: stage.aged(16)),
    "twenty seconds left": State("Check your phone", lambda stage: stage.aged(42)),
    "checking": State("We are checking", lambda stage: stage.aged(61)),
    "unheard": State("We have not heard back from M-PESA", lambda stage: stage.aged(121)),
    "stopped waiting": State("You stopped waiting", Stage.start, query="?stopped"),
    "earlier paid": State("Your earlier payment arrived", earlier_paid),
    "under review": State("The shop is checking this payment", lambda stage: stage.told(0, Amount=1.0)),
    "paid": State("Payment received", lambda stage: stage.told(0)),
    "paid late": State("Payment received", late),
    "paid twice": State("Two payments arrived", paid_twice),
    "sent back": State("Money sent back", refunded),
    "cancelled": State("You cancelled on your phone", lambda stage: stage.told(1032)),
    "no answer": State("Your phone did not answer", lambda stage: stage.told(1037)),
    "must wait": State("Please wait two minutes", lambda stage: stage.told(17)),
    "shop's fault": State("The shop has a payment problem", lambda stage: stage.told(2028)),
    "expired": State("We have not heard back from M-PESA", given_up),
    "unknown code": State("M-PESA gave an answer we do not know", unexplained),
    "unreachable": State(
        "We could not contact M-PESA", lambda stage: stage.refused(None, token=Answer(503, raw=b"<html>away</html>"))
    ),
    "wrong number": State(
        "Check the number",
        lambda stage: stage.refused(refusal("400.002.02", "Bad Request - Invalid PhoneNumber", status=400)),
    ),
}
