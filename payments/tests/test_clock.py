"""Clocks that differ or jump end no payment: each has its whole time by the database's."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments import clock, reconciler
from payments.daraja import client
from payments.models import Status
from tests.factories import make_order, make_transaction, new_phone_number

pytestmark = pytest.mark.django_db
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_measured", clock._Measured())


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Turn this machine's clock; the database's stays true, unless it is SQLite, which has none."""
    true, true_now = time.time, timezone.now

    def turn(seconds: float) -> None:
        monkeypatch.setattr(clock.time, "time", lambda: true() + seconds)
        monkeypatch.setattr(timezone, "now", lambda: true_now() + timedelta(seconds=seconds))

    return turn


def _open_payment(monkeypatch: pytest.MonkeyPatch) -> Any:
    from payments.checkout import start_checkout

    monkeypatch.setattr(client, "stk_push", lambda **asked: client.PushAccepted("29115-1-1", f"ws_CO_{time.time_ns()}"))
    return start_checkout(make_order().pk, new_phone_number()).payment


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_jump_ends_no_payment_before_its_time(turn: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    reconciler.run_pass()
    payment = _open_payment(monkeypatch)
    turn(seconds)
    reconciler.run_pass()
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


def test_after_a_jump_every_payment_has_its_whole_time_and_then_ends(
    turn: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_database_has_clock", lambda: False)
    payment = make_transaction(checkout_request_id=None)
    reconciler.run_pass()
    turn(HOUR)
    reconciler.run_pass()
    payment.refresh_from_db()
    assert payment.status == Status.PENDING
    settings.MPESA_EXPIRE_AFTER_SECONDS = 0  # so long after the jump
    reconciler.run_pass()
    payment.refresh_from_db()
    assert payment.status == Status.FAILED


def test_a_clock_that_went_back_lets_no_payment_wait_for_hours(turn: Any) -> None:
    payment = make_transaction()
    clock.measure()
    reconciler._bring_nearer()
    payment.refresh_from_db()
    soon = payment.expires_at
    type(payment).objects.update(expires_at=soon + timedelta(hours=1), check_after=soon + timedelta(hours=1))
    reconciler._bring_nearer()
    payment.refresh_from_db()
    assert payment.expires_at <= clock.now() + timedelta(minutes=3)
    assert payment.check_after is not None
    assert payment.check_after <= clock.now()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_machines_whose_clocks_differ_date_payments_alike(
    turn: Any, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """As on PostgreSQL, whose clock is the true one here."""
    true = time.time
    monkeypatch.setattr(clock, "_database_has_clock", lambda: True)
    monkeypatch.setattr(clock, "_told", true)
    turn(seconds)
    clock.measure()
    payment = _open_payment(monkeypatch)
    assert abs(payment.expires_at.timestamp() - true()) < HOUR / 2
    turn(0)
    monkeypatch.setattr(clock, "_measured", clock._Measured())  # the other machine, whose clock is true
    reconciler.run_pass()
    payment.refresh_from_db()
    assert payment.status == Status.PENDING
