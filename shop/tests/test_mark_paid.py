from __future__ import annotations

import uuid

import pytest
from django.db.transaction import TransactionManagementError, atomic

from shop.models import Order
from shop.orders import cancel_order, mark_paid, place_order
from shop.outcomes import OrderNotCancellable, PaidOutcome


def pay(order, amount=None):
    with atomic():
        outcome = mark_paid(order.pk, order.amount if amount is None else amount)
    order.refresh_from_db()
    return outcome


def test_the_whole_amount_pays_the_order(order):
    assert pay(order) == PaidOutcome.PAID
    assert (order.status, order.amount_paid, order.amount_due) == ("PAID", 320, 0)
    assert order.paid_at is not None


def test_a_second_payment_is_surplus_and_counted(order):
    pay(order)
    paid_at = order.paid_at
    assert pay(order) == PaidOutcome.SURPLUS
    assert (order.status, order.amount_paid, order.paid_at) == ("PAID", 640, paid_at)


def test_less_than_is_due_leaves_the_order_open(order):
    assert pay(order, 319) == PaidOutcome.PARTLY
    assert (order.status, order.amount_paid, order.amount_due, order.paid_at) == ("OPEN", 319, 1, None)


def test_parts_that_add_up_pay_the_order(order):
    assert pay(order, 319) == PaidOutcome.PARTLY
    assert pay(order, 1) == PaidOutcome.PAID
    assert order.status == "PAID"


def test_more_than_is_due_pays_the_order_and_says_so(order):
    assert pay(order, 500) == PaidOutcome.OVERPAID
    assert (order.status, order.amount_paid, order.amount_due) == ("PAID", 500, 0)


def test_money_for_a_cancelled_order_is_counted_and_leaves_it_cancelled(order):
    cancel_order(order)
    assert pay(order) == PaidOutcome.AFTER_CANCEL
    assert (order.status, order.amount_paid, order.paid_at) == ("CANCELLED", 320, None)


def test_an_order_nobody_placed_cannot_be_paid(db):
    with pytest.raises(Order.DoesNotExist), atomic():
        mark_paid(uuid.uuid4(), 1)


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_run_outside_the_payments_transaction(order):
    with pytest.raises(TransactionManagementError):
        mark_paid(order.pk, order.amount)
    order.refresh_from_db()
    assert order.amount_paid == 0


def test_a_payment_that_is_rolled_back_pays_nothing(order):
    with pytest.raises(ZeroDivisionError), atomic():
        raise ZeroDivisionError(mark_paid(order.pk, order.amount))
    order.refresh_from_db()
    assert (order.status, order.amount_paid) == ("OPEN", 0)


def test_of_payments_at_once_exactly_one_is_the_one_that_paid(at_once, tea):
    for _round in range(5):
        order = place_order([("tea", 1)])
        outcomes = at_once(*[lambda order=order: _pay(order)] * 4)
        assert sorted(outcomes) == [PaidOutcome.PAID, *[PaidOutcome.SURPLUS] * 3]
        order.refresh_from_db()
        assert (order.status, order.amount_paid) == ("PAID", 4 * 160)


def test_parts_at_once_are_all_counted_and_exactly_one_completes(at_once, tea):
    for _round in range(5):
        order = place_order([("tea", 1)])
        outcomes = at_once(*[lambda order=order: _pay(order, 80)] * 2)
        assert sorted(outcomes) == [PaidOutcome.PAID, PaidOutcome.PARTLY]


def test_cancelling_and_paying_at_once_end_in_one_of_the_two(at_once, tea):
    for _round in range(5):
        order = place_order([("tea", 1)])
        outcome, refusal = at_once(lambda order=order: _pay(order), lambda order=order: cancel_order(order))
        order.refresh_from_db()
        ends = {"PAID": (PaidOutcome.PAID, OrderNotCancellable), "CANCELLED": (PaidOutcome.AFTER_CANCEL, type(None))}
        assert (outcome, type(refusal)) == ends[order.status]
        assert order.amount_paid == 160


def _pay(order, amount=160):
    with atomic():
        return mark_paid(order.pk, amount)
