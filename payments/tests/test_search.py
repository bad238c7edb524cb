from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.amendments import note_action
from payments.models import Action, Reason, Source, Status, Transaction
from payments.search import PARAMETERS, Search, read_amount
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db


def found(**query: str) -> list[Transaction]:
    return list(Search.of({name.rstrip("_"): value for name, value in query.items()}).payments())


@pytest.mark.parametrize(
    "term",
    [
        "UKN7R2X0QD",
        "ukn7 r2x0 qd",
        "0712 000 777",
        "+254712000777",
        "00254 712 000 777",
        "254712000777",
        "712000777",
        "ws_CO_find_me",
        "29115-find-1",
        "REFERENCE123",
        "{order.number}",
        "{order.account_number}",
        "{order.pk}",
        "{payment.pk}",
        "2345",
        "2,345",
        "KES 2,345",
        "Ksh2345.00",
        "2,345/=",
    ],
)
def test_one_box_finds_a_payment_by_whatever_names_it(term: str) -> None:
    make_transaction()
    payment = make_transaction(
        order=make_order(amount=2345),
        phone_number="254712000777",
        mpesa_receipt_number="UKN7R2X0QD",
        checkout_request_id="ws_CO_find_me",
        merchant_request_id="29115-find-1",
        account_reference="REFERENCE123",
    )
    assert found(q=term.format(payment=payment, order=payment.order)) == [payment]


@pytest.mark.parametrize("term", ["z" * 36, "-" * 36, "'; --", "\x00", "07", "٣" * 32, "0", "250001", "%", "9" * 400])
def test_odd_terms_find_nothing(term: str) -> None:
    make_transaction()
    assert found(q=term) == []


def test_the_newest_come_first() -> None:
    payments = [make_transaction() for _ in range(3)]
    assert found() == payments[::-1]


def test_only_the_payments_of_this_environment_are_found(settings: Any) -> None:
    make_transaction(environment="sandbox", phone_number="254712000777")
    assert found() == found(q="0712000777") == []


def test_filters_narrow_together() -> None:
    cancelled = make_transaction(status=Status.FAILED, reason=Reason.CANCELLED, settled_by=Source.CALLBACK)
    expired = make_transaction(status=Status.FAILED, reason=Reason.EXPIRED, settled_by=Source.EXPIRY)
    paid = make_transaction(status=Status.COMPLETED, settled_by=Source.QUERY, order=make_order(amount=99))
    assert found(status="FAILED") == [expired, cancelled]
    assert found(reason="expired") == [expired]
    assert found(source="query") == [paid]
    assert found(status="FAILED", source="callback") == [cancelled]
    assert found(least="100") == [expired, cancelled]
    assert found(least="99", most="99") == [paid]
    assert found(status="COMPLETED", reason="expired") == []


def test_days_are_those_of_the_shop_and_both_ends_belong() -> None:
    payment = make_transaction()
    late_evening = timezone.localtime().replace(year=2026, month=3, day=4, hour=23, minute=59)
    Transaction.objects.filter(pk=payment.pk).update(created_at=late_evening)
    assert found(from_="2026-03-04", to="2026-03-04") == [payment]
    assert found(from_="2026-03-05") == found(to="2026-03-03") == []


def test_what_staff_have_touched_is_found(django_user_model: Any) -> None:
    make_transaction()
    payment = make_transaction()
    note_action(payment, Action.NOTE, by=django_user_model.objects.create_user("chief"), note="Called us")
    assert found(touched="yes") == [payment]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "PAID"),
        ("reason", "'"),
        ("source", "x"),
        ("from", "2026-02-31"),
        ("to", "0001-01-01"),
        ("least", "-1"),
        ("most", "many"),
        ("touched", "no"),
    ],
)
def test_a_filter_that_cannot_be_read_finds_nothing_and_is_named(name: str, value: str) -> None:
    make_transaction()
    search = Search.of({name: value})
    assert not search.payments().exists()
    assert name in search.problem


def test_a_search_survives_the_way_through_a_url() -> None:
    given = dict(zip(PARAMETERS, ["0712 000 777", "FAILED", "expired", "expiry", "2026-01-01", "2026-01-02", "1", "2", "yes"], strict=True))  # fmt: skip # noqa: E501
    search = Search.of(given)
    assert not search.problem
    assert search.query_string.startswith("q=0712+000+777&status=FAILED")


def test_a_change_says_who_told_us(post_callback: Any) -> None:
    payment = make_transaction(created_at=timezone.now() - timedelta(seconds=3))
    post_callback(payment)
    assert payment.settled_by == Source.CALLBACK
    assert found(source="callback") == [payment]


@pytest.mark.parametrize(("typed", "amount"), [("1", 1), ("250,000", 250_000), ("0", None), ("1.5", None), ("", None)])
def test_amounts_are_read_as_people_write_them(typed: str, amount: int | None) -> None:
    assert read_amount(typed) == amount
