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
from hypothesis import HealthCheck, Phase
from hypothesis import settings as how
from hypothesis.stateful import run_state_machine_as_test

from payments import inbox, settlement
from payments.daraja.results import parse_callback
from payments.models import Transaction
from tests.faults.machine import ShopMachine

pytestmark = pytest.mark.django_db


def _run(*, runs: int, steps: int, shrink: bool = True) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        ShopMachine,
        settings=how(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            report_multiple_bugs=shrink,
        ),
    )


@pytest.fixture(autouse=True)
def _staff(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.MPESA_QUERIES_PER_MINUTE = 60_000
    monkeypatch.setattr(ShopMachine, "staff", get_user_model().objects.create_user("supervisor"))
    monkeypatch.setattr(ShopMachine, "steps", 0)
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


def test_the_machine_finds_what_goes_wrong_when_a_callback_needs_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(body: bytes, remote_address: str | None) -> None:
        named = Transaction.objects.filter(checkout_request_id=parse_callback(body).checkout_request_id).first()
        if named:
            inbox.receive(named.pk, body, remote_address)

    monkeypatch.setattr(inbox, "receive_hint", believe)
    with pytest.raises(AssertionError, match=r"without money|somebody else"):
        _run(runs=200, steps=50, shrink=False)


def test_the_machine_finds_what_goes_wrong_without_comparing_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "_block", lambda *args, **kwargs: "let through")
    true = settlement._settle_success

    def believe(payment: Transaction, told: Any, callback: Any) -> str:
        return true(payment, replace(told, amount=payment.amount), callback)

    monkeypatch.setattr(settlement, "_settle_success", believe)
    with pytest.raises(AssertionError, match=r"without money|somebody else"):
        _run(runs=200, steps=50, shrink=False)
