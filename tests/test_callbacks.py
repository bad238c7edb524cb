"""Callbacks as Daraja sends them and as it should not: twice, late, too early, wrong, forged."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.client import Shop, as_stored, new_phone_number
from tests.conftest import Payment
from tests.fake_daraja import Answer, FakeDaraja, Push, query_result


def test_twenty_copies_at_once_complete_once(shop: Shop, payment: Payment) -> None:
    body = payment.push.callback()
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda _: payment.push.post(body), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    document = shop.status(payment.id)
    assert (document["status"], document["version"]) == ("COMPLETED", payment.document["version"] + 1)
    order = shop.order_now(payment.order_id)
    assert (order["status"], order["amount_paid"]) == ("PAID", order["amount"])


def test_money_that_comes_after_a_failure_counts(shop: Shop, payment: Payment) -> None:
    payment.push.fail(1037, "DS timeout user cannot be reached")
    assert shop.status(payment.id)["final"] is False
    payment.push.succeed()
    document = shop.status(payment.id)
    assert (document["status"], document["late"]) == ("COMPLETED", True)
    assert shop.order_now(payment.order_id)["status"] == "PAID"


def test_a_failure_after_success_changes_nothing(shop: Shop, payment: Payment) -> None:
    payment.push.succeed()
    before = shop.status(payment.id)
    assert payment.push.fail(1032).status_code == 200
    assert shop.status(payment.id) == before
    assert shop.order_now(payment.order_id)["status"] == "PAID"


@pytest.mark.parametrize("difference", [-1, 1, -1000, 0.5])
def test_a_wrong_amount_never_completes(shop: Shop, payment: Payment, difference: float) -> None:
    answer = payment.push.succeed(Amount=payment.order["amount"] + difference)
    assert answer.status_code == 200
    payment.push.succeed()  # the true amount comes too late: a person decides now
    document = shop.status(payment.id)
    assert (document["status"], document["can_retry"]) == ("PENDING", False)
    assert shop.order_now(payment.order_id)["status"] == "OPEN"


@pytest.mark.parametrize("name", ["MerchantRequestID", "CheckoutRequestID"])
def test_foreign_ids_never_complete(shop: Shop, payment: Payment, name: str) -> None:
    body = payment.push.callback()
    body["Body"]["stkCallback"][name] = f"ws_CO_{uuid.uuid4().hex}"
    assert payment.push.post(body).status_code == 200
    assert shop.status(payment.id)["status"] == "PENDING"


def test_a_receipt_pays_once(shop: Shop, daraja: FakeDaraja, payment: Payment) -> None:
    payment.push.succeed(MpesaReceiptNumber="SFF0000001")
    order, phone_number = shop.order(), new_phone_number()
    other = shop.push(order["order_id"], phone_number).json()["transaction_id"]
    daraja.push_for(as_stored(phone_number)).succeed(MpesaReceiptNumber="SFF0000001")
    assert shop.status(other)["status"] == "PENDING"
    assert shop.order_now(order["order_id"])["status"] == "OPEN"


def test_a_forged_token_is_404_and_changes_nothing(shop: Shop, payment: Payment) -> None:
    head, _, tail = payment.push.callback_url.rstrip("/").rpartition(".")
    changed = f"{head}.{tail[:-1]}{'0' if tail[-1] != '0' else '1'}"
    for url in (f"{changed}/", f"{head}.{tail.upper()}x/", f"{shop.base_url}/payments/callback/{payment.id}/"):
        assert payment.push.post(payment.push.callback(), url=url).status_code == 404
    assert shop.status(payment.id)["version"] == payment.document["version"]


def test_the_token_of_another_payment_completes_neither(shop: Shop, daraja: FakeDaraja, payment: Payment) -> None:
    phone_number = new_phone_number()
    other = shop.push(shop.order()["order_id"], phone_number).json()["transaction_id"]
    daraja.push_for(as_stored(phone_number)).post(payment.push.callback())
    assert shop.status(payment.id)["status"] == "PENDING"
    assert shop.status(other)["status"] == "PENDING"


@pytest.mark.parametrize(
    "path", ["/mpesa/stk_push_callback/", "/mpesa/stk_push_callback", "/mpesa/stk_push_callback/no/"]
)
def test_without_a_token_a_success_is_only_a_hint(shop: Shop, payment: Payment, path: str) -> None:
    answer = payment.push.post(payment.push.callback(), url=f"{shop.base_url}{path}")
    assert (answer.status_code, answer.json()["ResultCode"]) == (200, 0)
    assert shop.status(payment.id)["status"] == "PENDING"


def test_a_hint_makes_the_shop_ask_daraja(shop: Shop, daraja: FakeDaraja, payment: Payment) -> None:
    daraja.on_query = lambda query: query_result(query, 0)
    payment.push.post(payment.push.callback(), url=f"{shop.base_url}/mpesa/stk_push_callback/")
    assert shop.wait_for(payment.id, "COMPLETED")["mpesa_receipt_number"] is None


def test_the_seeds_path_with_the_token_is_as_good(shop: Shop, payment: Payment) -> None:
    token = payment.push.callback_url.rstrip("/").rpartition("/")[2]
    payment.push.post(payment.push.callback(), url=f"{shop.base_url}/mpesa/stk_push_callback/{token}/")
    assert shop.status(payment.id)["status"] == "COMPLETED"


def test_a_callback_path_without_its_slash_is_never_redirected(shop: Shop, payment: Payment) -> None:
    answer = payment.push.post(payment.push.callback(), url=payment.push.callback_url.rstrip("/"))
    assert (answer.status_code, answer.history) == (200, [])
    assert shop.status(payment.id)["status"] == "COMPLETED"


def test_a_callback_that_beats_the_push_answer_is_kept(shop: Shop, daraja: FakeDaraja) -> None:
    def call_back_first(push: Push) -> None:
        assert push.succeed().status_code == 200

    daraja.on_push = call_back_first
    order = shop.order()
    answer = shop.push(order["order_id"], new_phone_number())
    assert answer.status_code == 201
    assert shop.wait_for(answer.json()["transaction_id"], "COMPLETED")["late"] is False
    assert shop.order_now(order["order_id"])["status"] == "PAID"


def test_the_callback_of_a_lost_push_answer_still_completes(shop: Shop, daraja: FakeDaraja) -> None:
    daraja.on_push = lambda push: Answer(drops=True)
    order, phone_number = shop.order(), new_phone_number()
    transaction_id = shop.push(order["order_id"], phone_number).json()["transaction_id"]
    daraja.push_for(as_stored(phone_number)).succeed()
    assert shop.status(transaction_id)["status"] == "COMPLETED"
    assert shop.order_now(order["order_id"])["status"] == "PAID"


@pytest.mark.parametrize("code", [4999, "4999", "500.001.1001", 777, "", True, None, 0.5, "00", "0 "])
def test_a_code_that_is_not_listed_leaves_the_payment_pending(shop: Shop, payment: Payment, code: object) -> None:
    assert payment.push.post(payment.push.callback(code=code)).status_code in {200, 400}
    assert shop.status(payment.id)["status"] == "PENDING"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'{"Body":{}}', b"\xff\xfe", b"[" * 5000, b'{"a":' + b"9" * 5000 + b"}", b'"\\u0000"'],
)
def test_a_body_that_is_no_callback_is_400_and_harmless(shop: Shop, payment: Payment, body: bytes) -> None:
    assert payment.push.post(body).status_code == 400
    assert shop.status(payment.id)["status"] == "PENDING"
    payment.push.succeed()
    assert shop.status(payment.id)["status"] == "COMPLETED"


@pytest.mark.parametrize("size", [65 * 1024, 2 * 1024 * 1024])
def test_a_body_over_64_kib_is_413(shop: Shop, payment: Payment, size: int) -> None:
    body = json.dumps(payment.push.callback()).encode() + b" " * size
    assert payment.push.post(body).status_code == 413
    assert shop.status(payment.id)["status"] == "PENDING"


def test_get_is_405(shop: Shop, payment: Payment) -> None:
    path = payment.push.callback_url.removeprefix(shop.base_url)
    assert shop.get(path).status_code == 405
    assert shop.get("/mpesa/stk_push_callback/").status_code == 405
