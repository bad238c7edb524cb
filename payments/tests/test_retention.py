from __future__ import annotations

import json
import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from axes.models import AccessLog
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from payments import reconciler, retention
from payments.models import Callback, Discrepancy, Status, Transaction
from payments.retention import forget_visits
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

PHONE = "254712345678"
CHECKOUT = "ws_CO_24112026030935712345678"


def _run(command: str, days: int = 90) -> str:
    said = StringIO()
    call_command(command, f"--older-than={days}", stdout=said)
    return said.getvalue().strip()


def _age(days: int) -> None:
    """Have everything so far happen so many days earlier."""
    when = timezone.now() - timedelta(days=days)
    Transaction.objects.update(created_at=when, updated_at=when)
    Callback.objects.update(received_at=when)


@pytest.fixture
def paid(post_callback: Any) -> Transaction:
    payment = make_transaction(phone_number=PHONE, checkout_request_id=CHECKOUT, asked_from="a" * 32, asked_in="b" * 32)
    post_callback(payment, PhoneNumber=int(PHONE))
    return payment


def test_old_bodies_are_emptied_and_their_digest_stays(paid: Transaction) -> None:
    before = Callback.objects.get()
    _age(91)
    assert _run("purge_callbacks") == "1 bodies were emptied."
    after = Callback.objects.get()
    assert (bytes(after.body), after.digest, after.outcome) == (b"", before.digest, "completed")
    assert _run("purge_callbacks") == "0 bodies were emptied."


def test_young_bodies_and_those_that_wait_are_kept(paid: Transaction) -> None:
    _age(89)
    assert _run("purge_callbacks") == "0 bodies were emptied."
    _age(91)
    Callback.objects.update(state=Callback.State.RECEIVED)
    assert _run("purge_callbacks") == "0 bodies were emptied."


def test_a_copy_of_a_purged_callback_changes_nothing(paid: Transaction, post_callback: Any) -> None:
    _age(91)
    _run("purge_callbacks")
    assert post_callback(paid, PhoneNumber=int(PHONE)).status_code == 200
    assert (Callback.objects.get().copies, paid.version, paid.discrepancies.count()) == (2, 2, 0)


def test_the_number_goes_and_receipt_and_amount_stay(paid: Transaction) -> None:
    receipt = paid.mpesa_receipt_number
    _age(91)
    assert _run("anonymise_payments") == "1 payments were anonymised."
    paid.refresh_from_db()
    assert (paid.status, paid.amount, paid.mpesa_receipt_number, paid.version) == ("COMPLETED", 1500, receipt, 3)
    assert (paid.phone_number[:4], len(paid.phone_number), paid.phone_number.isdigit()) == ("2540", 12, True)
    assert _run("anonymise_payments") == "0 payments were anonymised."


def test_the_number_is_nowhere_afterwards(paid: Transaction) -> None:
    Discrepancy.objects.create(
        transaction=paid,
        kind=Discrepancy.Kind.CONTRADICTION,
        evidence={"checkout_request_id": CHECKOUT},
        resolved_at=timezone.now(),
    )
    _age(91)
    _run("anonymise_payments")
    models = [Transaction, Callback, Discrepancy]
    kept = json.dumps([list(model.objects.values()) for model in models], default=str)
    kept += str([bytes(row.body) for row in Callback.objects.all()])
    assert "712345678" not in kept
    assert "a" * 32 not in kept


def test_one_phone_stays_one_within_a_run_and_nobody_can_compute_it_again() -> None:
    def standin() -> set[str]:
        made = [make_transaction(phone_number=PHONE, status=Status.COMPLETED) for _time in range(2)]
        _age(91)
        _run("anonymise_payments")
        return set(Transaction.objects.filter(pk__in=[p.pk for p in made]).values_list("phone_number", flat=True))

    first, second = standin(), standin()
    assert len(first) == len(second) == 1
    assert first != second


@pytest.mark.parametrize(
    "fields", [{}, {"status": Status.FAILED, "reason": "under_review", "under_review": True}], ids=["open", "review"]
)
def test_what_is_open_or_under_review_keeps_its_number(fields: dict[str, Any]) -> None:
    make_transaction(**fields)
    _age(91)
    assert _run("anonymise_payments") == "0 payments were anonymised."


def test_a_payment_that_waits_for_a_person_keeps_its_number(paid: Transaction, post_callback: Any) -> None:
    post_callback(paid, code=1032)
    _age(91)
    assert _run("anonymise_payments") == "0 payments were anonymised."
    Discrepancy.objects.update(resolved_at=timezone.now())
    assert _run("anonymise_payments") == "1 payments were anonymised."


def test_young_payments_keep_their_number(paid: Transaction) -> None:
    _age(89)
    assert _run("anonymise_payments") == "0 payments were anonymised."


def test_many_take_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.retention.BATCH", 2)
    for _time in range(5):
        make_transaction(status=Status.COMPLETED)
    _age(91)
    assert _run("anonymise_payments") == "5 payments were anonymised."


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "all", "", "9" * 30])
def test_days_are_a_whole_number(days: str) -> None:
    for command in ("purge_callbacks", "anonymise_payments"):
        with pytest.raises(CommandError):
            call_command(command, f"--older-than={days}")


# Visits ---------------------------------------------------------------------------------------------------------


def _visit(days: int) -> None:
    """Leave a basket that runs out in so many days, and a login of so many days ago."""
    now = timezone.now()
    session = SessionStore()
    session["cart"] = {"mug": 2}
    session.create()
    Session.objects.filter(pk=session.session_key).update(expire_date=now + timedelta(days=days))
    login = AccessLog.objects.create(username=f"staff{days}", http_accept="", path_info="/admin/login/")
    AccessLog.objects.filter(pk=login.pk).update(attempt_time=now - timedelta(days=abs(days)))


def test_baskets_that_ran_out_and_logins_of_long_ago_are_forgotten() -> None:
    for days in (-91, -1, 89):
        _visit(days)
    assert forget_visits() == 3
    assert Session.objects.get().expire_date > timezone.now()
    assert set(AccessLog.objects.values_list("username", flat=True)) == {"staff-1", "staff89"}
    assert forget_visits() == 0


def test_they_are_forgotten_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _visitor in range(5):
        _visit(-100)
    with django_assert_max_num_queries(2 * (1 + 3 * 5)):
        assert forget_visits() == 10


def test_every_reconciler_forgets_them_hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: dict[Any, float] = {}
    monkeypatch.setattr(reconciler, "run_beside", lambda _name, work, *, every, stop: begun.update({work: every}))
    stop = threading.Event()
    stop.set()
    reconciler.run_forever(stop)
    assert begun[forget_visits] == 3600
