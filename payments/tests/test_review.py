from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from payments.checkout import start_checkout
from payments.daraja.client import QueryAnswer
from payments.documents import document, facts
from payments.models import Discrepancy, Status, Transaction
from payments.review import decide, resolve
from payments.settlement import expire, settle_query
from payments.tests.conftest import FakeDaraja
from shop.models import Order
from shop.orders import cancel_order
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db
Kind = Discrepancy.Kind


@pytest.fixture
def chief(db: None) -> User:
    return User.objects.create_user("chief")


@pytest.fixture
def blocked(post_callback: Any) -> Transaction:
    """A payment whose callback told of another amount."""
    payment = make_transaction()
    post_callback(payment, Amount=1)
    return payment


def _open_kinds(payment: Transaction) -> set[str]:
    return set(payment.discrepancies.filter(resolved_at=None).values_list("kind", flat=True))


def test_a_decision_that_it_is_paid_settles_the_order(blocked: Transaction, chief: User) -> None:
    version = blocked.version
    assert decide(blocked.pk, paid=True, by=chief, why="Seen on the statement")
    blocked.refresh_from_db()
    assert (blocked.status, blocked.under_review, blocked.version) == ("COMPLETED", False, version + 1)
    assert blocked.order.status == Order.objects.get().status == "PAID"
    event = blocked.events.last()
    assert (event.source, event.action, str(event.by), event.note) == (
        "staff",
        "decided",
        "chief",
        "Seen on the statement",
    )


def test_it_resolves_what_blocked_with_whom_and_why_and_is_logged(blocked: Transaction, chief: User) -> None:
    decide(blocked.pk, paid=True, by=chief, why="Seen on the statement")
    found = Discrepancy.objects.get()
    assert (found.resolved_by, found.resolution, found.resolved_at is None) == (chief, "Seen on the statement", False)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (chief, str(blocked.pk))
    assert "Seen on the statement" in entry.change_message


def test_what_the_decision_brings_to_light_stays_open(blocked: Transaction, chief: User) -> None:
    expire(blocked)
    blocked.refresh_from_db()
    cancel_order(blocked.order)
    assert decide(blocked.pk, paid=True, by=chief, why="It came")
    assert _open_kinds(blocked) == {Kind.LATE, Kind.PAID_AFTER_CANCEL}


@pytest.mark.parametrize("expired", [False, True])
def test_left_unpaid_the_order_can_be_paid_anew(
    blocked: Transaction, chief: User, daraja: FakeDaraja, expired: bool
) -> None:
    if expired:
        expire(blocked)
    assert decide(blocked.pk, paid=False, by=chief, why="No such money")
    blocked.refresh_from_db()
    told = document(facts(blocked))
    assert (told["status"], told["reason"], told["can_retry"]) == ("FAILED", "under_review", True)
    assert "You can pay again" in told["message"]
    assert "No money was taken" not in told["message"]
    assert _open_kinds(blocked) == set()
    assert start_checkout(blocked.order_id, blocked.phone_number).is_new


def test_after_that_only_another_decision_completes_it(blocked: Transaction, chief: User, post_callback: Any) -> None:
    decide(blocked.pk, paid=False, by=chief, why="No such money")
    post_callback(blocked)
    settle_query(blocked.pk, QueryAnswer("success", "0", "processed", None))
    blocked.refresh_from_db()
    assert (blocked.status, _open_kinds(blocked)) == ("FAILED", {Kind.CONTRADICTION})
    assert decide(blocked.pk, paid=True, by=chief, why="It came after all")
    blocked.refresh_from_db()
    assert (blocked.status, blocked.late) == ("COMPLETED", True)


def test_there_is_nothing_to_decide_twice_or_without_a_review(blocked: Transaction, chief: User) -> None:
    assert not decide(make_transaction().pk, paid=True, by=chief, why="?")
    assert not decide(make_transaction(status=Status.FAILED, reason="expired").pk, paid=True, by=chief, why="?")
    assert decide(blocked.pk, paid=True, by=chief, why="It came")
    for paid in (True, False):
        assert not decide(blocked.pk, paid=paid, by=chief, why="?")
    assert LogEntry.objects.count() == 1


def test_what_blocks_is_not_resolved_without_a_decision(blocked: Transaction, chief: User) -> None:
    assert not resolve(Discrepancy.objects.get(), by=chief, why="Away with it")
    assert (_open_kinds(blocked), LogEntry.objects.count()) == ({Kind.AMOUNT_DIFFERS}, 0)
    decide(blocked.pk, paid=True, by=chief, why="It came")


def test_anything_else_is_resolved_once_with_a_reason(post_callback: Any, chief: User) -> None:
    payment = make_transaction()
    post_callback(payment)
    post_callback(payment, code=1032)
    found = Discrepancy.objects.get()
    assert resolve(found, by=chief, why="A late copy")
    assert not resolve(found, by=chief, why="Again")
    found.refresh_from_db()
    assert (found.resolution, found.resolved_by, LogEntry.objects.count()) == ("A late copy", chief, 1)
