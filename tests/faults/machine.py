"""A shop, its customers and Safaricom as Hypothesis moves them, step by step, with a plain model beside them.

`Phones` is the model: what really happened to each prompt, which the shop learns only by what it is told. After
every step the database must agree with the invariants; at the end everything true is delivered, and then nothing
that was paid may be missing. One database transaction holds a whole run and is rolled back.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import UUID

from django.db import connection
from django.db.transaction import atomic, set_rollback
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from payments import inbox, reconciler
from payments.checkout import CheckoutRefused, start_checkout
from payments.daraja import client
from payments.models import Reason, Status, Transaction
from payments.review import Money, complete, leave_unpaid
from payments.tests.conftest import callback_body
from shop.models import Order
from shop.orders import cancel_order
from shop.outcomes import OrderNotCancellable
from tests.faults.truth import CANCELLED, PAID, UNANSWERED

AMOUNT = 1500  # KES, of every order
MOST_ORDERS = 4
PHONES = [f"25470000000{digit}" for digit in range(4)]
UNREACHABLE = client.QueryAnswer("failure", "1037", "DS timeout user cannot be reached.", Reason.NO_RESPONSE)
LIES = ("wrong amount", "wrong ids", "reused receipt", "no amount", "unknown code", "no callback", "forged")


@dataclass
class Prompt:
    """One prompt and what its owner did; `paid`: the receipt of the money that moved."""

    transaction_id: UUID
    checkout_request_id: str
    paid: str | None = None
    refused: bool = False
    decided: bool = False  # a supervisor has spoken


@dataclass
class Clock:
    now: datetime = field(default_factory=timezone.now)


class AtOnce:
    """An executor without threads: the reconciler asks within the step's own transaction."""

    def submit(self, work: Any, *args: Any, **kwargs: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        answer.set_result(work(*args, **kwargs))
        return answer


class ShopMachine(RuleBasedStateMachine):
    """Every run is one rolled back transaction; `staff`: the user who decides about payments under review."""

    staff: ClassVar[Any] = None
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(atomic())
        self.clock = Clock()
        self.prompts: dict[UUID, Prompt] = {}
        self.orders: list[UUID] = []
        self.numbers = itertools.count(1)
        self.seen: dict[UUID, tuple[str, int]] = {}
        self.answers: dict[str, client.QueryAnswer] = {}
        self.push_outcome = "accepted"
        self._has_written = False
        self._stack.enter_context(connection.execute_wrapper(self._note_writes))
        for owner, name, stand_in in (
            (timezone, "now", lambda: self.clock.now),
            (client, "stk_push", self._stk_push),
            (client, "stk_query", self._stk_query),
            # In one transaction nobody may close its connection.
            (reconciler, "connection", SimpleNamespace(close=lambda: None)),
        ):
            self._stack.enter_context(patch.object(owner, name, stand_in))

    def _note_writes(self, execute: Any, sql: str, *args: Any) -> Any:
        self._has_written = self._has_written or not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE"))
        return execute(sql, *args)

    def teardown(self) -> None:
        try:
            self._heal()
            self._nothing_paid_is_missing()
        finally:
            self.end()

    def end(self) -> None:
        """Forget the run."""
        set_rollback(True)
        self._stack.close()

    # Daraja ---------------------------------------------------------------------------------------------------

    def _stk_push(self, **asked: Any) -> client.PushAccepted:
        if self.push_outcome == "refused":
            raise client.DarajaRefused("400.002.02", "Bad Request - Invalid PhoneNumber", Reason.NOT_SENT)
        if self.push_outcome == "unreachable":
            raise client.DarajaUnreachable
        payment = Transaction.objects.get(account_reference=asked["account_reference"])
        number = f"ws_CO_{next(self.numbers)}"
        self.prompts[payment.pk] = Prompt(payment.pk, number)
        if self.push_outcome == "callback first":
            self._pay(self.prompts[payment.pk])
            self._deliver(self.prompts[payment.pk])
        if self.push_outcome == "answer lost":
            raise client.OutcomeUnknown
        return client.PushAccepted(f"m-{number}", number)

    def _stk_query(self, *, checkout_request_id: str) -> client.QueryAnswer:
        prompt = next(known for known in self.prompts.values() if known.checkout_request_id == checkout_request_id)
        lie = self.answers.get(checkout_request_id)
        if lie is not None:
            return lie
        if prompt.paid:
            return PAID
        return CANCELLED if prompt.refused else UNANSWERED

    # Steps ----------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self._order()
        start_checkout(self.orders[0], PHONES[0])

    def _order(self) -> None:
        self.orders.append(Order.objects.create(amount=AMOUNT).pk)

    @precondition(lambda self: len(self.orders) < MOST_ORDERS)
    @rule()
    def order(self) -> None:
        self._order()

    @rule(
        data=st.data(),
        phone=st.sampled_from(PHONES),
        outcome=st.sampled_from(["accepted"] * 4 + ["answer lost", "callback first", "refused", "unreachable"]),
    )
    def push(self, data: st.DataObject, phone: str, outcome: str) -> None:
        self.push_outcome = outcome
        order_id = data.draw(st.sampled_from(self.orders))
        with suppress(CheckoutRefused):
            start_checkout(order_id, phone)

    def _some(self, data: st.DataObject) -> Prompt:
        return self.prompts[data.draw(st.sampled_from([*self.prompts]))]

    @rule(data=st.data())
    def customer_pays(self, data: st.DataObject) -> None:
        self._pay(self._some(data))

    def _pay(self, prompt: Prompt) -> None:
        if not prompt.refused and not prompt.paid:
            prompt.paid = f"U{next(self.numbers):09d}"

    @rule(data=st.data())
    def customer_cancels(self, data: st.DataObject) -> None:
        prompt = self._some(data)
        prompt.refused = not prompt.paid

    @rule(data=st.data(), copies=st.integers(1, 3))
    def callback(self, data: st.DataObject, copies: int) -> None:
        prompt = self._some(data)
        for _copy in range(copies):
            self._deliver(prompt)

    def _deliver(self, prompt: Prompt) -> None:
        if prompt.paid or prompt.refused:
            payment = Transaction.objects.get(pk=prompt.transaction_id)
            ids = {"CheckoutRequestID": prompt.checkout_request_id}
            told = {"MpesaReceiptNumber": prompt.paid} if prompt.paid else {"code": 1032}
            assert inbox.receive(payment.pk, callback_body(payment, **told, **ids), "196.201.214.200")

    @rule(data=st.data(), lie=st.sampled_from(LIES))
    def false_callback(self, data: st.DataObject, lie: str) -> None:
        """Tell the shop what is not so: with the token, as a fault of Daraja would, or without, as a forger does."""
        self.lie(self._some(data), lie)

    def lie(self, prompt: Prompt, lie: str) -> None:
        payment = Transaction.objects.get(pk=prompt.transaction_id)
        used = Transaction.objects.exclude(pk=payment.pk).exclude(mpesa_receipt_number=None).first()
        if (lie == "wrong ids" and not payment.checkout_request_id) or (lie == "reused receipt" and used is None):
            return  # nobody could tell that from the truth
        told: dict[str, Any] = {"CheckoutRequestID": prompt.checkout_request_id, "MpesaReceiptNumber": "UFALSE0001"}
        told |= {
            "wrong amount": {"Amount": 1.0},
            "wrong ids": {"CheckoutRequestID": "ws_CO_of_nobody"},
            "reused receipt": {"MpesaReceiptNumber": used and used.mpesa_receipt_number},
            "no amount": {"Amount": None},
            "unknown code": {"code": 7777},
        }.get(lie, {})
        body = callback_body(payment, **told)
        if lie == "forged":
            inbox.receive_hint(body, "41.90.0.1")
        else:
            inbox.receive(payment.pk, body[:-9] if lie == "no callback" else body, "196.201.214.200")

    @rule(data=st.data(), lie=st.sampled_from([CANCELLED, UNREACHABLE, UNANSWERED, None]))
    def query_lies(self, data: st.DataObject, lie: client.QueryAnswer | None) -> None:
        """Have Daraja's queries call a payment failed that is not, or wait for ever; never paid what is not."""
        key = self._some(data).checkout_request_id
        self.answers.pop(key, None)
        if lie is not None:
            self.answers[key] = lie

    @rule(seconds=st.sampled_from([1, 5, 11, 25, 61, 125, 200]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        reconciler._pass(AtOnce())  # type: ignore[arg-type]
        overdue = Transaction.objects.filter(status=Status.PENDING, expires_at__lte=self.clock.now)
        assert not overdue.exists(), "a payment is open after its time"

    @rule(data=st.data(), paid=st.booleans())
    def supervisor_decides(self, data: st.DataObject, paid: bool) -> None:
        prompt = self._some(data)
        with_money = paid and prompt.paid is not None  # a supervisor reads the statement
        payment, why = Transaction.objects.get(pk=prompt.transaction_id), "the statement says so"
        if with_money:
            prompt.decided |= complete(payment.pk, found=Money(payment.amount, prompt.paid), by=self.staff, why=why)
        else:
            prompt.decided |= leave_unpaid(payment.pk, by=self.staff, why=why)

    @rule(data=st.data())
    def customer_cancels_the_order(self, data: st.DataObject) -> None:
        with suppress(OrderNotCancellable):
            cancel_order(Order.objects.get(pk=data.draw(st.sampled_from(self.orders))))

    # What must hold -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_invented_lost_or_taken_back(self) -> None:
        type(self).steps += 1
        if not self._has_written:
            return  # what held before the step holds still
        self._has_written = False
        fields = ("pk", "order_id", "status", "version", "amount", "surplus", "mpesa_receipt_number")
        payments = [SimpleNamespace(**row) for row in Transaction.objects.order_by().values(*fields)]
        for payment in payments:
            if payment.status == Status.COMPLETED:
                prompt = self.prompts.get(payment.pk)
                assert prompt is not None, "completed without a prompt"
                assert prompt.paid, "completed without money"
                assert payment.mpesa_receipt_number in {None, prompt.paid}, "a receipt of somebody else"
            self._never_goes_back(payment)
        self._orders_add_up(payments)

    def _never_goes_back(self, payment: SimpleNamespace) -> None:
        status, version = self.seen.get(payment.pk, ("", 0))
        assert payment.version >= version, "a version shrank"
        if payment.status != status:
            assert payment.version > version, "a status changed without a version"
            assert status != Status.COMPLETED, "a paid payment is not paid any more"
        self.seen[payment.pk] = payment.status, payment.version

    def _orders_add_up(self, payments: list[SimpleNamespace]) -> None:
        for order_id, status, amount_paid in Order.objects.values_list("pk", "status", "amount_paid"):
            completed = [each for each in payments if each.order_id == order_id and each.status == Status.COMPLETED]
            settling = [payment for payment in completed if not payment.surplus]
            assert amount_paid == sum(payment.amount for payment in completed), "money is missing at the order"
            if status == Order.Status.PAID:
                assert len(settling) == 1, f"{len(settling)} payments settled one order"
            else:
                assert status == Order.Status.CANCELLED or not completed, "paid, and the order is open"

    # The end --------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """Deliver everything that is true, and let so much time pass that everything has ended."""
        self.answers.clear()
        for prompt in self.prompts.values():
            self._deliver(prompt)
        for _pass in range(2):
            self.clock.now += timedelta(seconds=200)
            self.sweep()

    def _nothing_paid_is_missing(self) -> None:
        self.nothing_is_invented_lost_or_taken_back()
        for prompt in self.prompts.values():
            payment = Transaction.objects.get(pk=prompt.transaction_id)
            held = payment.under_review or payment.reason == Reason.UNDER_REVIEW or prompt.decided
            assert payment.status != Status.PENDING, "open for ever"
            if prompt.paid and not held:
                assert (payment.status, payment.mpesa_receipt_number) == (Status.COMPLETED, prompt.paid), (
                    "money is lost"
                )
            if held and payment.under_review:
                assert payment.discrepancies.filter(blocking=True, resolved_at=None).exists(), (
                    "blocked without a finding"
                )
