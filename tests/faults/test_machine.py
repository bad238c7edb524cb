"""Hypothesis looks for a sequence of events after which money is lost, invented, counted twice or taken back."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as how
from hypothesis.stateful import run_state_machine_as_test

from payments import clock, inbox, reconciler, settlement, transitions
from payments.daraja.results import parse_callback
from payments.models import Reason, Source, Status, Transaction
from shop.outcomes import PaidOutcome
from tests.faults.machine import LIES, ShopMachine

pytestmark = pytest.mark.django_db


def _run(*, runs: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        ShopMachine,
        settings=how(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.fixture(autouse=True)
def _staff(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.MPESA_QUERIES_PER_MINUTE = 60_000
    monkeypatch.setattr(ShopMachine, "staff", get_user_model().objects.create_user("supervisor"))
    monkeypatch.setattr(ShopMachine, "steps", 0)
    monkeypatch.setattr(clock, "_database_has_clock", lambda: False)  # the machine's own clock rules
    logging.disable(logging.CRITICAL)  # a third of the time
    yield
    logging.disable(logging.NOTSET)


def _look(capsys: pytest.CaptureFixture[str], *, runs: int, steps: int) -> None:
    began = time.process_time()
    _run(runs=runs, steps=steps)
    with capsys.disabled():
        seconds = time.process_time() - began
        print(f"\n{runs} runs, {ShopMachine.steps} steps in {seconds:.0f} s of CPU on {connection.vendor}")


def test_no_sequence_of_events_loses_invents_or_takes_back_money(capsys: pytest.CaptureFixture[str]) -> None:
    """Which database it is matters for races, which the other tests look for; here it is a check of the queries."""
    _look(capsys, runs=200 if connection.vendor == "sqlite" else 40, steps=50)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_no_long_sequence_of_events_does_either(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """5,000 runs of 100 steps, in parts, so that one can be repeated alone."""
    _look(capsys, runs=500, steps=100)


# What the machine must notice, a guard at a time -----------------------------------------------------------------


@pytest.fixture
def machine() -> Iterator[ShopMachine]:
    """A machine moved by hand, with one prompt on a phone whose owner does nothing."""
    moved = ShopMachine()
    moved.begin()
    yield moved
    moved.end()


def _told(machine: ShopMachine, lie: str) -> None:
    machine.lie(next(iter(machine.prompts.values())), lie)
    machine.nothing_is_invented_lost_or_taken_back()


@pytest.mark.parametrize("lie", LIES)
def test_with_all_guards_no_lie_breaks_an_invariant(machine: ShopMachine, lie: str) -> None:
    _told(machine, lie)


def test_the_machine_notices_when_a_callback_needs_no_token(
    machine: ShopMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(body: bytes, remote_address: str | None) -> None:
        named = Transaction.objects.get(checkout_request_id=parse_callback(body).checkout_request_id)
        inbox.receive(named.pk, body, remote_address)

    monkeypatch.setattr(inbox, "receive_hint", believe)
    with pytest.raises(AssertionError, match="without money"):
        _told(machine, "forged")


def test_the_machine_notices_when_nobody_compares_amounts(
    machine: ShopMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = settlement._settle_success

    def believe(payment: Transaction, told: Any, callback: Any) -> str:
        return true(payment, replace(told, amount=payment.amount), callback)

    monkeypatch.setattr(settlement, "_settle_success", believe)
    with pytest.raises(AssertionError, match="without money"):
        _told(machine, "wrong amount")


def test_the_machine_notices_when_a_paid_payment_can_fail(
    machine: ShopMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = next(iter(machine.prompts.values()))
    prompt.paid = "UPAID00001"
    machine._deliver(prompt)
    machine.nothing_is_invented_lost_or_taken_back()
    monkeypatch.setattr(transitions, "REACHED_FROM", dict.fromkeys(Status, tuple(Status)))
    # Without its memory: else the true statement is used here, or this one afterwards.
    monkeypatch.setattr(transitions, "_change_of_status", transitions._change_of_status.__wrapped__)
    transitions.transition(prompt.transaction_id, Status.FAILED, source=Source.EXPIRY, reason=Reason.EXPIRED)
    with pytest.raises(AssertionError, match="not paid any more"):
        machine.nothing_is_invented_lost_or_taken_back()


def test_the_machine_notices_when_money_does_not_reach_its_order(
    machine: ShopMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "mark_paid", lambda order_id, amount: PaidOutcome.PAID)
    prompt = next(iter(machine.prompts.values()))
    prompt.paid = "UPAID00001"
    machine._deliver(prompt)
    with pytest.raises(AssertionError, match="money is missing"):
        machine.nothing_is_invented_lost_or_taken_back()


def test_the_machine_notices_at_the_end_what_was_never_delivered(
    machine: ShopMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(iter(machine.prompts.values())).paid = "UPAID00001"
    monkeypatch.setattr(inbox, "_take", lambda arrived: True)
    monkeypatch.setattr(reconciler, "_claim_due", lambda room: [])
    machine._heal()
    with pytest.raises(AssertionError, match="money is lost"):
        machine._nothing_paid_is_missing()
