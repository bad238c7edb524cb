"""The main job from outside: an order, a prompt, a callback, and everybody who watches knows."""

from __future__ import annotations

from contextlib import ExitStack

from tests.client import Shop, next_document
from tests.conftest import Payment


def test_a_callback_reaches_poll_order_and_socket(shop: Shop, payment: Payment) -> None:
    with shop.socket(payment.id) as socket:
        assert next_document(socket)["status"] == "PENDING"
        answer = payment.push.succeed(MpesaReceiptNumber="SFF6XYZ123")
        told = next_document(socket)
    assert (answer.status_code, answer.json()) == (200, {"ResultCode": 0, "ResultDesc": "Accepted"})
    assert (told["status"], told["mpesa_receipt_number"], told["final"]) == ("COMPLETED", "SFF6XYZ123", True)
    assert shop.status(payment.id) == told
    order = shop.order_now(payment.order_id)
    assert (order["status"], order["amount_paid"], order["amount_due"]) == ("PAID", order["amount"], 0)


def test_the_push_asks_daraja_for_what_the_order_costs(shop: Shop, payment: Payment) -> None:
    request = payment.push.request
    assert int(request["Amount"]) == payment.order["amount"]
    assert request["PartyA"] == request["PhoneNumber"]
    assert request["TransactionType"] == "CustomerPayBillOnline"
    assert 0 < len(request["AccountReference"]) <= 12
    assert request["AccountReference"].isalnum()
    assert 0 < len(request["TransactionDesc"]) <= 13
    assert request["CallBackURL"].startswith(f"{shop.base_url}/payments/callback/")


def test_the_push_answers_the_document_and_its_two_ids(payment: Payment) -> None:
    document = payment.document
    assert document["status"] == "PENDING"
    assert document["merchant_request_id"] == payment.push.merchant_request_id
    assert document["checkout_request_id"] == payment.push.checkout_request_id
    assert document["order_id"] == payment.order_id
    assert document["amount"] == payment.order["amount"]
    assert 55 <= document["prompt_expires_in"] <= 60


def test_a_late_opener_gets_the_present_state(shop: Shop, payment: Payment) -> None:
    payment.push.succeed()
    with shop.socket(payment.id) as socket:
        assert next_document(socket)["status"] == "COMPLETED"


def test_a_cancelled_prompt_can_be_tried_again(shop: Shop, payment: Payment) -> None:
    payment.push.fail(1032)
    document = shop.status(payment.id)
    assert (document["status"], document["reason"], document["can_retry"]) == ("FAILED", "cancelled", True)
    assert shop.order_now(payment.order_id)["status"] == "OPEN"
    again = shop.push(payment.order_id, f"0{payment.push.phone_number[3:]}")
    assert again.status_code == 201
    assert again.json()["transaction_id"] != payment.id


def test_every_socket_of_a_payment_hears_of_it(shop: Shop, payment: Payment) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(shop.socket(payment.id)) for _ in range(5)]
        assert {next_document(socket)["version"] for socket in sockets} == {payment.document["version"]}
        payment.push.succeed()
        assert {next_document(socket)["status"] for socket in sockets} == {"COMPLETED"}
