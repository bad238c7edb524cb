"""Daraja has taken a prompt in, and the database is away just then: its ids must not be lost with the callback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from payments import db, prompted, reconciler, spool
from payments.checkout import CheckoutRefused, start_checkout
from payments.daraja import client
from payments.models import Discrepancy, Status, Transaction
from payments.tests.conftest import FakeDaraja, raising
from tests.factories import make_order, new_phone_number

pytestmark = pytest.mark.django_db(transaction=True)

PAID = client.QueryAnswer("success", "0", "The service request is processed successfully.", None)
ACCEPTED_ID = "ws_CO_25112026101530712345678"


@pytest.fixture(autouse=True)
def _own_spool(settings: Any, tmp_path: Path) -> Iterator[None]:
    spool.replay(lambda _arrived: None)
    settings.CALLBACK_SPOOL_DIR = tmp_path / "spool"
    yield
    spool.replay(lambda _arrived: None)
    db.outage.end()


@pytest.fixture
def daraja(daraja: FakeDaraja) -> FakeDaraja:
    daraja.push = lambda _asked: client.PushAccepted("29115-1-1", ACCEPTED_ID)
    daraja.query = lambda _id: PAID
    return daraja


def _prompted_while_away(monkeypatch: pytest.MonkeyPatch, why: Exception) -> Transaction:
    order = make_order()
    with monkeypatch.context() as patch:
        patch.setattr(prompted, "_save", raising(why))
        with pytest.raises(CheckoutRefused) as refused:
            start_checkout(order.pk, new_phone_number())
    assert (refused.value.status, refused.value.code) == (503, "outcome_unknown")
    payment = Transaction.objects.get(order=order)
    assert (payment.status, payment.checkout_request_id) == (Status.PENDING, None)
    return payment


def test_the_ids_wait_on_disk_and_daraja_is_asked_by_them(daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = _prompted_while_away(monkeypatch, OperationalError())
    assert spool.length() == 1
    reconciler.run_pass()
    payment.refresh_from_db()
    assert (payment.status, payment.checkout_request_id) == (Status.COMPLETED, ACCEPTED_ID)
    assert (daraja.queries, spool.is_empty()) == ([ACCEPTED_ID], True)


def test_a_payment_that_ended_meanwhile_is_asked_about_too(daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = _prompted_while_away(monkeypatch, OperationalError())
    long_ago = timezone.now() - timedelta(hours=1)
    Transaction.objects.filter(pk=payment.pk).update(
        status=Status.FAILED, reason="expired", failed_at=long_ago, check_after=None
    )
    reconciler.run_pass()
    payment.refresh_from_db()
    assert (payment.status, payment.late, daraja.queries) == (Status.COMPLETED, True, [ACCEPTED_ID])


def test_ids_that_differ_from_a_callbacks_are_seen_also_when_they_come_from_the_disk(
    daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = _prompted_while_away(monkeypatch, OperationalError())
    Transaction.objects.filter(pk=payment.pk).update(checkout_request_id="ws_CO_another", check_after=None)
    reconciler.run_pass()
    payment.refresh_from_db()
    assert (payment.under_review, payment.checkout_request_id) == (True, "ws_CO_another")
    assert Discrepancy.objects.get().kind == Discrepancy.Kind.IDS_DIFFER


def test_a_fault_of_ours_is_no_reason_for_the_disk(daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch) -> None:
    _prompted_while_away(monkeypatch, KeyError("a fault"))
    assert spool.is_empty()
