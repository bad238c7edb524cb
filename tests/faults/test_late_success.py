"""The first attempt is paid while the second prompt is on the phone: the page is told, and paying twice is seen."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from payments import inbox, reconciler
from payments.checkout import start_checkout
from payments.documents import document, facts
from payments.models import Discrepancy, Status, Transaction
from payments.tests.conftest import FakeDaraja, callback_body
from shop.models import Order
from tests.factories import make_order, new_phone_number
from tests.faults.clock import let_pass

pytestmark = pytest.mark.django_db(transaction=True)

EARLIER = "Your earlier payment arrived. Cancel the request on your phone."


def _prompt(orders: Iterable[Order], phones: Iterable[str]) -> list[Transaction]:
    return [start_checkout(order.pk, phone).payment for order, phone in zip(orders, phones, strict=True)]


def _hear(payment: Transaction) -> Transaction:
    inbox.receive(payment.pk, callback_body(payment), "196.201.214.200")
    payment.refresh_from_db()
    return payment


@pytest.fixture(params=[40, pytest.param(200, marks=pytest.mark.long)])
def attempts(daraja: FakeDaraja, request: pytest.FixtureRequest) -> list[tuple[Transaction, Transaction]]:
    """Attempts of which the first have run out of time and the second are open."""
    orders, phones = zip(*[(make_order(), new_phone_number()) for _ in range(request.param)], strict=True)
    first = _prompt(orders, phones)
    let_pass(181)
    reconciler.run_pass()
    return list(zip(first, _prompt(orders, phones), strict=True))


def test_the_later_page_is_told_each_time_and_every_double_payment_is_found(
    attempts: list[tuple[Transaction, Transaction]],
) -> None:
    for number, (first, second) in enumerate(attempts):
        _hear(first)
        second.refresh_from_db()
        assert (first.status, first.late, first.surplus) == (Status.COMPLETED, True, False)
        assert (second.status, second.version, second.earlier_paid) == (Status.PENDING, 2, True)
        assert document(facts(second))["message"] == EARLIER
        if number % 2:
            _hear(second)
            assert (second.status, second.version, second.surplus) == (Status.COMPLETED, 3, True)
    _check_the_books(attempts)


def _check_the_books(attempts: list[tuple[Transaction, Transaction]]) -> None:
    surplus = {second.pk for _first, second in attempts[1::2]}
    found = Discrepancy.objects.filter(kind=Discrepancy.Kind.SURPLUS)
    assert set(found.values_list("transaction", flat=True)) == surplus
    assert found.count() == len(surplus)
    for order in Order.objects.all():
        paid = order.transactions.filter(status=Status.COMPLETED).count()
        assert (order.status, order.amount_paid) == (Order.Status.PAID, paid * order.amount)
