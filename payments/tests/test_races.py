"""Twelve actors at once on one payment, many times over: what the guard of `transition` is for.

The last tests take the guard away and must find violations: otherwise the first ones would prove nothing.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.transaction import atomic
from django.utils import timezone

from payments import inbox, settlement, transitions
from payments.models import Source, Status, Transaction
from payments.tests.conftest import callback_body
from shop.models import Product
from shop.orders import mark_paid
from tests.factories import make_order, make_product, make_transaction
from tests.faults.crowd import Action, crowd
from tests.faults.truth import CANCELLED, PAID, violations

pytestmark = pytest.mark.django_db(transaction=True)

SUCCESSES = 8
ACTORS = SUCCESSES + 4  # a failure, expiry, a query's answer, staff


# One payment, twelve actors -------------------------------------------------------------------------------------


def _payment(product: Product) -> Transaction:
    """Return a payment whose every actor may act at once: it is overdue, and a query has named a failure before."""
    long_ago = timezone.now() - timedelta(seconds=30)
    return make_transaction(
        order=make_order(product=product), expires_at=long_ago, queried_code="1032", queried_at=long_ago
    )


def _actors(payment: Transaction, number: int) -> list[Action]:
    """Return what all happens to `payment`; half of the successes are copies, the others differ in their wording."""
    pk, answer = payment.pk, PAID if number % 2 else CANCELLED
    bodies = [callback_body(payment, desc=f"wording {max(0, copy - 3)}") for copy in range(SUCCESSES)]
    bodies.append(callback_body(payment, code=1032))

    def hear(body: bytes) -> Action:
        return lambda: inbox.receive(pk, body, "196.201.214.200")

    return [
        *map(hear, bodies),
        lambda: settlement.expire(payment),
        lambda: settlement.settle_query(pk, answer),
        lambda: transitions.transition(pk, Status.COMPLETED, source=Source.STAFF, note="Seen on the statement"),
    ]


def _found(payment: Transaction) -> list[str]:
    receipt = Transaction.objects.values_list("mpesa_receipt_number", flat=True).get(pk=payment.pk)
    lost = [] if receipt == f"U{payment.account_reference[:9]}" else ["the receipt is lost"]
    return violations(payment) + lost


def _race(orders: int) -> dict[str, int]:
    """Let the actors loose on so many orders; return how often each rule was broken."""
    product = make_product()
    found: dict[str, int] = {}
    with crowd(ACTORS) as actors:
        for number in range(orders):
            payment = _payment(product)
            faults = [str(result) for result in actors.do(_actors(payment, number)) if isinstance(result, Exception)]
            for violation in _found(payment) + faults:
                found[violation] = found.get(violation, 0) + 1
    return found


def test_twelve_actors_at_once_pay_an_order_exactly_once() -> None:
    assert _race(60) == {}


@pytest.mark.long
def test_twelve_actors_at_once_pay_each_of_2_000_orders_exactly_once() -> None:
    assert _race(2_000) == {}


# The same without the guard -------------------------------------------------------------------------------------


def _naive_write_status(transaction_id: Any, new_status: Status, source: Source, reason: Any, fields: Any) -> bool:
    """Read, check, write: what `transition` would be without a guard."""
    payment = Transaction.objects.get(pk=transaction_id)
    if payment.status not in transitions.REACHED_FROM[new_status]:
        return False
    payment.late = payment.status == Status.FAILED and new_status == Status.COMPLETED
    payment.status, payment.reason, payment.version = new_status, reason or "", payment.version + 1
    for name, value in fields.items():
        setattr(payment, name, value)
    payment.save()
    return True


def _only_read(transaction_id: Any, *, receipt: str = "") -> Transaction:
    same = Transaction.objects.filter(mpesa_receipt_number=receipt).exclude(pk=transaction_id)
    payment = Transaction.objects.get(pk=transaction_id)
    payment.receipt_is_used = bool(receipt) and same.exists()  # type: ignore[attr-defined]  # as lock annotates it
    return payment


def test_the_race_finds_the_violations_when_the_guard_and_the_locks_are_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transitions, "_write_status", _naive_write_status)
    for module in (transitions, settlement):
        monkeypatch.setattr(module, "lock", _only_read)
    monkeypatch.setattr(transitions, "mark_paid", atomic(mark_paid))
    for module in (transitions, settlement):
        monkeypatch.setattr(module, "atomic", lambda **_options: nullcontext())
    found = _race(12)
    assert found.get("not true: completed exactly once")
    assert found.get("not true: order was paid once")


def test_the_locks_alone_are_enough_only_where_one_writer_is_let_in_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expiry takes no lock of the order: on PostgreSQL only the guard keeps it from ending a paid payment."""
    monkeypatch.setattr(transitions, "_write_status", _naive_write_status)
    found = _race(12)
    assert bool(found) == (connection.vendor == "postgresql")
