from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.amendments import put_under_review
from payments.checkout import CheckoutRefused, start_checkout
from payments.daraja import client
from payments.documents import document, facts
from payments.models import Reason, Source, Status, Transaction
from payments.tests.conftest import FakeDaraja, raising
from payments.transitions import transition
from shop.models import Order
from shop.orders import cancel_order
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db

PHONE, OTHER_PHONE = "254712345678", "254112345678"


def _refused(order: Order, phone_number: str = PHONE) -> CheckoutRefused:
    with pytest.raises(CheckoutRefused) as caught:
        start_checkout(order.pk, phone_number)
    return caught.value


def test_the_phone_is_prompted_for_the_orders_amount(daraja: FakeDaraja) -> None:
    order = make_order(amount=1500)
    checkout = start_checkout(order.pk, PHONE)
    asked = daraja.pushes[0]
    assert (asked["phone_number"], asked["amount"], checkout.is_new) == (PHONE, 1500, True)
    assert len(asked["account_reference"]) == 12
    assert asked["account_reference"].isalnum()
    assert 1 <= len(asked["transaction_desc"]) <= 13
    assert checkout.payment.checkout_request_id


def test_the_row_is_there_before_daraja_is_asked(daraja: FakeDaraja) -> None:
    order = make_order()
    seen: list[int] = []
    daraja.push = lambda asked: (seen.append(order.transactions.count()), daraja.accept(asked))[1]
    start_checkout(order.pk, PHONE)
    assert seen == [1]


def test_the_same_phone_gets_its_open_payment_and_no_second_prompt(daraja: FakeDaraja) -> None:
    order = make_order()
    first = start_checkout(order.pk, PHONE)
    second = start_checkout(order.pk, PHONE)
    assert (second.payment.pk, second.is_new, len(daraja.pushes)) == (first.payment.pk, False, 1)


def test_what_another_environment_has_left_on_an_order_holds_nobody_up(daraja: FakeDaraja) -> None:
    order = make_order()
    left = {"order": order, "phone_number": PHONE, "environment": "sandbox"}
    make_transaction(**left)
    make_transaction(**left, status=Status.FAILED, reason=Reason.BUSY, failed_at=timezone.now())
    make_transaction(**left, status=Status.FAILED, reason=Reason.UNDER_REVIEW, under_review=True)
    checkout = start_checkout(order.pk, PHONE)
    assert (checkout.is_new, checkout.payment.environment, len(daraja.pushes)) == (True, "simulator", 1)
    transition(checkout.payment.pk, Status.FAILED, source=Source.CALLBACK, reason=Reason.CANCELLED)
    checkout.payment.refresh_from_db()
    assert document(facts(checkout.payment))["can_retry"] is True
    cancel_order(order)
    assert order.status == Order.Status.CANCELLED


def test_another_phone_waits_for_the_open_payment(daraja: FakeDaraja) -> None:
    order = make_order()
    start_checkout(order.pk, PHONE)
    refusal = _refused(order, OTHER_PHONE)
    assert (refusal.status, refusal.code) == (409, "payment_open")
    assert 170 <= refusal.retry_after <= 180


def test_a_phone_has_one_prompt_at_a_time(daraja: FakeDaraja) -> None:
    start_checkout(make_order().pk, PHONE)
    refusal = _refused(make_order())
    assert (refusal.status, refusal.code, len(daraja.pushes)) == (409, "phone_busy", 1)
    assert refusal.retry_after


@pytest.mark.parametrize(("status", "code"), [("PAID", "order_paid"), ("CANCELLED", "order_cancelled")])
def test_a_closed_order_is_not_asked_for(daraja: FakeDaraja, status: str, code: str) -> None:
    order = make_order(status=status, amount_paid=1500)
    assert (_refused(order).code, daraja.pushes) == (code, [])


def test_an_order_under_review_is_not_asked_for(daraja: FakeDaraja) -> None:
    order = make_order()
    payment = make_transaction(order=order, status=Status.FAILED, reason=Reason.EXPIRED)
    put_under_review(payment.pk, source="callback")
    refusal = _refused(order)
    assert (refusal.status, refusal.code, daraja.pushes) == (409, "under_review", [])


def test_a_refusal_fails_the_payment_and_leaves_the_order_payable(daraja: FakeDaraja) -> None:
    order = make_order()
    daraja.push = raising(client.DarajaRefused("400.002.02", "Bad Request - Invalid PhoneNumber", Reason.NOT_SENT))
    refusal = _refused(order)
    payment = Transaction.objects.get()
    assert (refusal.status, refusal.code, payment.status, payment.reason) == (
        502,
        "daraja_refused",
        "FAILED",
        "not_sent",
    )
    daraja.push = daraja.accept
    assert start_checkout(order.pk, PHONE).is_new


def test_an_unreachable_daraja_sent_nothing(daraja: FakeDaraja) -> None:
    order = make_order()
    daraja.push = raising(client.DarajaUnreachable())
    refusal = _refused(order)
    assert (refusal.status, refusal.code) == (503, "daraja_unreachable")
    assert refusal.retry_after
    assert Transaction.objects.get().status == Status.FAILED


@pytest.mark.parametrize("error", [client.OutcomeUnknown(), ZeroDivisionError()])
def test_no_usable_answer_stays_pending(daraja: FakeDaraja, error: Exception) -> None:
    order = make_order()
    daraja.push = raising(error)
    refusal = _refused(order)
    payment = Transaction.objects.get()
    assert (refusal.status, refusal.code, payment.status, payment.version) == (503, "outcome_unknown", "PENDING", 1)
    assert "Do not pay again" in refusal.detail


def test_busy_has_the_customer_wait_a_minute(daraja: FakeDaraja) -> None:
    order = make_order()
    daraja.push = raising(client.DarajaRefused("500.001.1001", "Unable to lock subscriber", Reason.BUSY))
    assert _refused(order).retry_after == 60
    refusal = _refused(order)
    assert (refusal.status, refusal.code) == (429, "too_soon")
    Transaction.objects.update(failed_at=timezone.now() - timedelta(seconds=61))
    daraja.push = daraja.accept
    assert start_checkout(order.pk, PHONE).is_new


def test_a_phone_that_just_paid_this_amount_waits_two_minutes(daraja: FakeDaraja, post_callback: Any) -> None:
    post_callback(start_checkout(make_order().pk, PHONE).payment)
    refusal = _refused(make_order())
    assert (refusal.status, refusal.retry_after) == (429, 120)
    assert start_checkout(make_order(amount=99).pk, PHONE).is_new


def test_an_earlier_unanswered_attempt_is_asked_about_before_the_next_prompt(daraja: FakeDaraja) -> None:
    order = make_order()
    make_transaction(order=order, status=Status.FAILED, reason=Reason.EXPIRED, failed_at=timezone.now())
    daraja.query = lambda _id: client.QueryAnswer("success", "0", "processed", None)
    assert (_refused(order).code, daraja.pushes) == ("order_paid", [])


def test_ids_that_a_faster_callback_brought_are_kept(daraja: FakeDaraja, post_callback: Any) -> None:
    def call_back_first(asked: dict[str, Any]) -> client.PushAccepted:
        post_callback(Transaction.objects.get(), CheckoutRequestID="ws_CO_same", MerchantRequestID="29115-9-1")
        return client.PushAccepted("29115-9-1", "ws_CO_same")

    daraja.push = call_back_first
    payment = start_checkout(make_order().pk, PHONE).payment
    assert (payment.status, payment.version, payment.checkout_request_id) == ("COMPLETED", 2, "ws_CO_same")
    assert not payment.discrepancies.exists()
