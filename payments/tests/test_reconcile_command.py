"""`manage.py reconcile_payments`, as cron and a service run it."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from payments.daraja import client
from payments.management.commands import reconcile_payments
from payments.models import Transaction
from payments.tests.conftest import FakeDaraja, raising
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_pass_asks_what_is_due_ends_what_is_over_and_says_how_many(daraja: FakeDaraja) -> None:
    daraja.query = lambda _id: client.QueryAnswer("success", "0", "", None)
    paid = make_transaction(check_after=timezone.now())
    over = make_transaction(expires_at=timezone.now() - timedelta(seconds=1))
    said = StringIO()
    call_command("reconcile_payments", stdout=said)
    assert said.getvalue() == "2 payments were asked about or expired.\n"
    found = {payment.pk: payment.status for payment in Transaction.objects.all()}
    assert found == {paid.pk: "COMPLETED", over.pk: "FAILED"}


def test_a_database_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_payments, "run_pass", raising(OperationalError("host 10.1.2.3")))
    with pytest.raises(CommandError, match=r"^The database is away \(OperationalError\): nothing .*"):
        call_command("reconcile_payments")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_loop_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    def run(stop: threading.Event) -> None:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)

    monkeypatch.setattr(reconcile_payments, "run_forever", run)
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    try:
        call_command("reconcile_payments", loop=True)
    finally:
        for each, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(each, handler)
