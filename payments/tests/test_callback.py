from __future__ import annotations

import ipaddress
import uuid
from typing import Any

import pytest

from payments.callback_token import make_callback_token
from payments.models import Callback, Discrepancy, Reason, Status, Transaction
from payments.tests.conftest import callback_body
from shop.models import Order
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db


def test_success_completes_payment_and_order(post_callback: Any) -> None:
    payment = make_transaction()
    response = post_callback(payment, MpesaReceiptNumber="UKN7R2X0QD")
    assert (response.status_code, response.json()) == (200, {"ResultCode": 0, "ResultDesc": "Accepted"})
    assert (payment.status, payment.version, payment.mpesa_receipt_number) == ("COMPLETED", 2, "UKN7R2X0QD")
    payment.order.refresh_from_db()
    assert (payment.order.status, payment.order.amount_due) == (Order.Status.PAID, 0)


def test_the_log_tells_of_a_change_once_it_is_committed(
    post_callback: Any, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [line.msg["event"] for line in caplog.records if isinstance(line.msg, dict)]

    with django_capture_on_commit_callbacks() as committed:
        post_callback(make_transaction())
    assert "transaction.changed" not in told()
    for each in committed:
        each()
    assert told().count("transaction.changed") == 1


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({}, "transaction.changed"),
        ({"code": 1037}, "transaction.changed"),
        ({"code": 4999}, "callback.processed"),
        ({"Amount": 1.0}, "callback.processed"),
        ({"CheckoutRequestID": "ws_CO_of_another"}, "callback.processed"),
    ],
    ids=["paid", "failed", "unlisted code", "another amount", "another id"],
)
def test_one_line_of_the_log_says_what_became_of_a_callback(
    post_callback: Any,
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any],
    event: str,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        post_callback(make_transaction(), **fields)
    told = [line.msg["event"] for line in caplog.records if isinstance(line.msg, dict)]
    assert [each for each in told if each in {"transaction.changed", "callback.processed"}] == [event]


def test_a_repeated_callback_is_counted_and_changes_nothing(post_callback: Any) -> None:
    payment = make_transaction()
    for _ in range(3):
        assert post_callback(payment).status_code == 200
    assert payment.version == 2
    assert Callback.objects.get().copies == 3


@pytest.mark.parametrize(("code", "reason"), [(1032, "cancelled"), ("1", "insufficient_funds"), (1037, "no_response")])
def test_a_listed_code_fails_the_payment(post_callback: Any, code: object, reason: str) -> None:
    payment = make_transaction()
    post_callback(payment, code=code)
    assert (payment.status, payment.reason, payment.version) == ("FAILED", reason, 2)


def test_success_after_failure_completes_late(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, code=1037)
    post_callback(payment)
    assert (payment.status, payment.reason, payment.late, payment.version) == ("COMPLETED", "", True, 3)
    assert Discrepancy.objects.get().kind == Discrepancy.Kind.LATE


def test_failure_after_success_stays_completed(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment)
    assert post_callback(payment, code=1032).status_code == 200
    assert (payment.status, payment.version) == ("COMPLETED", 2)
    assert Discrepancy.objects.get().kind == Discrepancy.Kind.CONTRADICTION


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("amount_differs", {"Amount": 1}),
        ("amount_differs", {"Amount": 1500.01}),
        ("ids_differ", {"CheckoutRequestID": "ws_CO_other"}),
        ("ids_differ", {"MerchantRequestID": "29115-0-other"}),
    ],
)
def test_what_does_not_match_never_completes(post_callback: Any, kind: str, changes: dict[str, Any]) -> None:
    payment = make_transaction()
    assert post_callback(payment, **changes).status_code == 200
    post_callback(payment)
    assert (payment.status, payment.under_review) == ("PENDING", True)
    assert Discrepancy.objects.get(blocking=True).kind == kind


def test_a_receipt_of_another_payment_blocks(post_callback: Any) -> None:
    other = make_transaction(status=Status.COMPLETED, mpesa_receipt_number="UKN7R2X0QD")
    payment = make_transaction()
    post_callback(payment, MpesaReceiptNumber="UKN7R2X0QD")
    other.refresh_from_db()
    assert (payment.status, payment.under_review, other.mpesa_receipt_number) == ("PENDING", True, "UKN7R2X0QD")


def test_a_success_without_an_amount_only_makes_us_ask(post_callback: Any) -> None:
    payment = make_transaction()
    before = payment.check_after
    post_callback(payment, Amount=None)
    assert payment.status == Status.PENDING
    assert payment.check_after < before


def test_an_unlisted_code_waits_and_is_shown_to_staff(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, code=7777)
    assert (payment.status, payment.version) == ("PENDING", 1)
    assert Discrepancy.objects.get().kind == Discrepancy.Kind.UNKNOWN_CODE


def test_the_token_alone_identifies_a_payment_whose_push_answer_was_lost(post_callback: Any) -> None:
    payment = make_transaction(merchant_request_id=None, checkout_request_id=None)
    post_callback(payment, CheckoutRequestID="ws_CO_from_callback")
    assert (payment.status, payment.checkout_request_id) == ("COMPLETED", "ws_CO_from_callback")


def test_an_id_held_by_another_payment_is_a_discrepancy(post_callback: Any) -> None:
    other = make_transaction()
    payment = make_transaction(merchant_request_id=None, checkout_request_id=None)
    assert post_callback(payment, CheckoutRequestID=other.checkout_request_id).status_code == 200
    assert (payment.status, payment.under_review) == ("PENDING", True)


def test_a_second_receipt_for_a_paid_payment_opens_a_discrepancy(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, MpesaReceiptNumber="UKN0000001")
    post_callback(payment, MpesaReceiptNumber="UKN0000002")
    assert (payment.mpesa_receipt_number, payment.version) == ("UKN0000001", 2)
    assert Discrepancy.objects.get().kind == Discrepancy.Kind.CONTRADICTION


def test_a_receipt_that_comes_later_is_filled_in(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, MpesaReceiptNumber=None)
    assert (payment.status, payment.mpesa_receipt_number) == ("COMPLETED", None)
    post_callback(payment, MpesaReceiptNumber="UKN0000001")
    assert (payment.mpesa_receipt_number, payment.version) == ("UKN0000001", 3)


def test_money_for_a_paid_order_is_surplus(post_callback: Any) -> None:
    order = make_order()
    first = make_transaction(order=order, status=Status.FAILED, reason=Reason.EXPIRED)
    second = make_transaction(order=order)
    post_callback(second)
    post_callback(first)
    assert (second.surplus, first.surplus, first.late) == (False, True, True)
    order.refresh_from_db()
    assert (order.status, order.amount_paid) == (Order.Status.PAID, 2 * order.amount)


def test_money_for_a_cancelled_order_is_kept_and_shown(post_callback: Any) -> None:
    order = make_order(status=Order.Status.CANCELLED)
    payment = make_transaction(order=order, status=Status.FAILED, reason=Reason.EXPIRED)
    post_callback(payment)
    order.refresh_from_db()
    assert (payment.status, order.status, order.amount_paid) == ("COMPLETED", "CANCELLED", order.amount)
    assert Discrepancy.objects.filter(kind=Discrepancy.Kind.PAID_AFTER_CANCEL).exists()


def test_the_later_page_is_told_that_the_earlier_payment_arrived(post_callback: Any) -> None:
    order = make_order()
    earlier = make_transaction(order=order, status=Status.FAILED, reason=Reason.EXPIRED)
    later = make_transaction(order=order)
    post_callback(earlier)
    later.refresh_from_db()
    assert (later.status, later.earlier_paid, later.version) == ("PENDING", True, 2)


def test_a_body_that_is_no_callback_is_kept_and_answered_400(post_callback: Any) -> None:
    payment = make_transaction()
    for number in range(7):
        assert post_callback(payment, b'{"no": %d}' % number).status_code == 400
    assert Callback.objects.filter(state=Callback.State.REJECTED).count() == 5
    assert payment.status == Status.PENDING


def test_wrong_tokens_are_not_found_and_not_kept(client: Any) -> None:
    payment = make_transaction()
    good = make_callback_token(payment.pk)
    other = make_callback_token(uuid.uuid4())
    for token in ("x", good[:-1], good.upper(), good[:33] + other[33:], other[:33] + good[33:], f"{payment.pk}"):
        response = client.post(f"/payments/callback/{token}/", callback_body(payment), content_type="application/json")
        assert response.status_code == 404, token
    assert not Callback.objects.exists()


def test_an_oversized_callback_is_refused_and_not_kept(post_callback: Any) -> None:
    payment = make_transaction()
    assert post_callback(payment, b" " * (64 * 1024 + 1)).status_code == 413
    assert not Callback.objects.exists()


def test_get_is_not_allowed_and_the_slash_may_be_missing(client: Any) -> None:
    payment = make_transaction()
    url = f"/payments/callback/{make_callback_token(payment.pk)}"
    assert client.get(url).status_code == client.get("/mpesa/stk_push_callback/").status_code == 405
    assert client.post(url, callback_body(payment), content_type="application/json").status_code == 200
    assert Transaction.objects.get().status == Status.COMPLETED


def test_an_old_key_is_accepted_while_rotating(post_callback: Any, settings: Any) -> None:
    payment = make_transaction()
    token = make_callback_token(payment.pk)
    settings.CALLBACK_SECRETS = ["n" * 40, *settings.CALLBACK_SECRETS]
    from payments.callback_token import read_callback_token

    assert read_callback_token(token) == payment.pk
    settings.CALLBACK_SECRETS = ["n" * 40]
    assert read_callback_token(token) is None


def test_a_token_of_another_environment_means_nothing(settings: Any) -> None:
    from payments.callback_token import read_callback_token

    token = make_callback_token(uuid.uuid4())
    settings.MPESA_ENVIRONMENT = "production"
    assert read_callback_token(token) is None


def test_a_sender_that_is_not_listed_is_only_a_hint(post_callback: Any, settings: Any) -> None:
    settings.MPESA_CALLBACK_IPS = [ipaddress.ip_network("196.201.214.200")]
    payment = make_transaction()
    assert post_callback(payment).status_code == 200
    assert (payment.status, Callback.objects.get().state) == ("PENDING", "hint")
