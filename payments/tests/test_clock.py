"""Clocks that differ or jump end no payment: each has its whole time by the database's."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from payments import clock, reconciler
from payments.checkout import start_checkout
from payments.models import Status
from payments.tests.conftest import FakeDaraja
from tests.factories import make_order, make_transaction, new_phone_number

pytestmark = pytest.mark.django_db
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch, daraja: FakeDaraja) -> None:
    """Nothing is known yet; and an hour that passes makes questions due, which whoever listens there must not get."""
    monkeypatch.setattr(clock, "_measured", clock._Measured())


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Turn this machine's clock; the database's stays true, unless it is SQLite, which has none."""
    true, true_now = time.time, timezone.now

    def turn(seconds: float) -> None:
        monkeypatch.setattr(clock.time, "time", lambda: true() + seconds)
        monkeypatch.setattr(timezone, "now", lambda: true_now() + timedelta(seconds=seconds))

    return turn


def _open_payment() -> Any:
    return start_checkout(make_order().pk, new_phone_number()).payment


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_jump_ends_no_payment_before_its_time(turn: Any, seconds: float) -> None:
    reconciler.run_pass()
    payment = _open_payment()
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
    payment = _open_payment()
    assert abs(payment.expires_at.timestamp() - true()) < HOUR / 2
    turn(0)
    monkeypatch.setattr(clock, "_measured", clock._Measured())  # the other machine, whose clock is true
    reconciler.run_pass()
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


class _Slow:
    """A database whose clock is right, and whose answers take `delay` seconds from the moment that they tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment, self.delay = 1_800_000_000.0, 0.0
        began = self.moment
        of_the_machine = SimpleNamespace(time=lambda: self.moment, monotonic=lambda: self.moment - began)
        monkeypatch.setattr(clock, "time", of_the_machine)
        monkeypatch.setattr(clock, "_database_has_clock", lambda: True)
        monkeypatch.setattr(clock, "_told", self.tell)

    def tell(self) -> float:
        told = self.moment
        self.moment += self.delay
        return told


def test_an_answer_that_came_late_is_no_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    database = _Slow(monkeypatch)
    clock.measure()
    database.moment += clock.MEASURED_EVERY
    database.delay = 7.0
    assert not clock.measure()
    assert clock.now().timestamp() == database.moment
    database.delay = 0.0
    assert not clock.measure()
    assert (clock.now().timestamp(), clock.may_end()) == (database.moment, True)


def test_a_late_answer_is_better_than_none_until_a_prompt_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    database = _Slow(monkeypatch)
    database.delay = 7.0
    clock.measure()
    assert database.moment - clock.now().timestamp() == 7
    database.delay = 0.0
    assert not clock.measure()
    assert (clock.now().timestamp(), clock.may_end()) == (database.moment, True)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_true_jump_of_the_database_is_seen(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    database = _Slow(monkeypatch)
    clock.measure()
    true = database.tell
    monkeypatch.setattr(clock, "_told", lambda: true() + seconds)
    database.moment += clock.MEASURED_EVERY
    assert clock.measure() == (seconds < 0)
    assert not clock.may_end()
