"""Ours against M-PESA's: each difference is one finding, and what matches is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.books.compare import compare
from payments.models import Finding, Reason, Refund, Status
from payments.tests.mpesas_record import NOON, PREAMBLE, found, line, make_paid, read
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db


def test_what_matches_finds_nothing() -> None:
    make_paid()
    assert compare(read(line("UKK0000001", paid_in="1500"))) == 0


def test_a_payment_by_hand_may_share_its_reference() -> None:
    for number in (1, 2):
        make_paid(f"UKK000000{number}", channel="c2b", account_reference="7QK3M9TX", settled_by="c2b")
    lines = [line(f"UKK000000{number}", paid_in="1500", account="7QK3M9TX") for number in (1, 2)]
    assert compare(read(*lines)) == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [("missing_theirs", "UKK0000001")]),
        ([line("UKK0000001", paid_in="1499")], [("amount", "UKK0000001")]),
        ([line("UKK0000002", paid_in="1500", account="REF")], [("receipt", "UKK0000002")]),
        (
            [line("UKK0000001", paid_in="1500", account="REF"), line("UKK0000002", paid_in="1500", account="REF")],
            [("twice", "UKK0000002")],
        ),
        ([line("UKK0000001", paid_in="1500"), line("UKK0000003", paid_in="5")], [("missing_ours", "UKK0000003")]),
        (
            [
                line("UKK0000001", paid_in="1500"),
                line("UKK0000009", withdrawn="1500", details="Reversal", linked="UKK0000001"),
            ],
            [("reversed", "UKK0000009")],
        ),
    ],
)
def test_each_difference_is_one_finding(lines: list[str], expected: list[tuple[str, str]]) -> None:
    make_paid(account_reference="REF")
    reading = read(*lines, line("UKK0000100", withdrawn="5", details="Charge"))
    assert compare(reading) == len(expected)
    assert found() == expected
    assert compare(reading) == 0


def test_money_for_a_payment_that_failed_here_names_it() -> None:
    payment = make_transaction(status=Status.FAILED, reason=Reason.EXPIRED, account_reference="REF")
    compare(read(line("UKK0000002", paid_in="1500", account="REF")))
    assert Finding.objects.get().transaction == payment


def test_a_payment_whose_receipt_never_came_is_found_by_its_reference() -> None:
    make_paid(None, account_reference="REF")
    compare(read(line("UKK0000002", paid_in="1500", account="REF")))
    assert found() == [("receipt", "UKK0000002")]


def test_outside_the_period_nothing_is_missing() -> None:
    for at in (NOON - timedelta(days=1), NOON + timedelta(days=1), datetime(2026, 11, 19, 21, 1, tzinfo=UTC)):
        make_paid(f"UKK{at:%d%H%M}X", at=at)
    assert compare(read(line("UKK0000100", withdrawn="5", details="Charge"))) == 0


def test_two_readings_that_touch_leave_no_gap() -> None:
    make_paid(at=datetime(2026, 11, 20, 21, 0, 5, tzinfo=UTC))  # around midnight
    assert compare(read(line("UKK0000100", withdrawn="5", details="Charge"))) == 0
    next_day = PREAMBLE.replace("20-11-2026", "21-11-2026")
    assert compare(read(line("UKK0000101", withdrawn="5", details="Charge"), preamble=next_day)) == 1


def test_a_refund_of_ours_accounts_for_a_reversal_and_its_absence_is_found() -> None:
    user = User.objects.create_user("wanjiru")
    payment = make_paid()
    refund = Refund.objects.create(
        transaction=payment,
        environment=payment.environment,
        method="reversal",
        amount=1500,
        state="done",
        receipt="UKK0000009",
        requested_by=user,
        sent_at=NOON + timedelta(minutes=10),
        ended_at=NOON + timedelta(minutes=11),
    )
    paid = line("UKK0000001", paid_in="1500")
    compare(read(paid))
    assert found() == [("refund_missing", refund.receipt)]
    Finding.objects.all().delete()
    back = line("UKK0000009", withdrawn="-1500.00", details="Pay Bill Reversal", linked="UKK0000001")
    assert compare(read(paid, back)) == 0


def test_what_turns_up_later_is_closed_as_matched() -> None:
    make_paid()
    compare(read(line("UKK0000100", withdrawn="5", details="Charge")))
    assert found() == [("missing_theirs", "UKK0000001")]
    compare(read(line("UKK0000001", paid_in="1500")))
    assert found() == []
    assert Finding.objects.get().resolution


def test_another_environment_is_left_alone(settings: Any) -> None:
    make_paid(environment="sandbox")
    assert compare(read(line("UKK0000100", withdrawn="5", details="Charge"))) == 0
