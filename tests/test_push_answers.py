"""Everything POST /payments/stk-push/ may answer, and what each leaves behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.client import Shop, as_stored, new_phone_number
from tests.conftest import Payment
from tests.fake_daraja import Answer, FakeDaraja, refusal
from tests.server import running_server
from tests.services import free_port


def problem(answer: requests.Response) -> dict[str, object]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body = dict(answer.json())
    assert body["status"] == answer.status_code
    assert body["detail"].endswith("."), body
    return body


def local(payment: Payment) -> str:
    return f"0{payment.push.phone_number[3:]}"


def test_the_same_order_and_phone_get_the_open_payment_again(shop: Shop, payment: Payment, daraja: FakeDaraja) -> None:
    again = shop.push(payment.order_id, f"+254 {local(payment)[1:]}")
    assert again.status_code == 200
    assert again.json()["transaction_id"] == payment.id
    assert "checkout_request_id" not in again.json()
    assert len(daraja.pushes_to(payment.push.phone_number)) == 1


def test_another_phone_is_told_that_a_payment_is_open(shop: Shop, payment: Payment) -> None:
    answer = shop.push(payment.order_id, new_phone_number())
    assert (answer.status_code, problem(answer)["code"]) == (409, "payment_open")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_phone_with_a_prompt_is_busy_for_other_orders(shop: Shop, payment: Payment) -> None:
    answer = shop.push(shop.order()["order_id"], local(payment))
    assert (answer.status_code, problem(answer)["code"]) == (409, "phone_busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert payment.id not in answer.text


def test_a_paid_order_is_not_paid_again(shop: Shop, payment: Payment, daraja: FakeDaraja) -> None:
    payment.push.succeed()
    answer = shop.push(payment.order_id, new_phone_number())
    assert (answer.status_code, problem(answer)["code"]) == (409, "order_paid")


def test_an_order_under_review_is_not_prompted_again(shop: Shop, payment: Payment) -> None:
    payment.push.succeed(Amount=payment.order["amount"] + 1)
    answer = shop.push(payment.order_id, local(payment))
    assert (answer.status_code, problem(answer)["code"]) == (409, "under_review")


@pytest.mark.parametrize("order_id", [str(uuid.uuid4()), "1", "5f1e", "", "٣" * 32, f"{{{uuid.uuid4()}}}"])
def test_an_unknown_order_is_404(shop: Shop, order_id: str) -> None:
    answer = shop.push(order_id, new_phone_number())
    assert (answer.status_code, problem(answer)["code"]) == (404, "order_unknown")


@pytest.mark.parametrize("phone_number", ["", "0712", "0712-FLOWER", "+14155552671", 712345678, None, [], "٠٧١٢٣٤٥٦٧٨"])
def test_a_bad_phone_number_is_to_blame(shop: Shop, phone_number: object) -> None:
    body = {"order_id": shop.order()["order_id"], "phone_number": phone_number}
    answer = shop.post("/payments/stk-push/", json=body)
    assert (answer.status_code, problem(answer)["field"]) == (400, "phone_number")


def test_another_media_type_is_refused(shop: Shop) -> None:
    answer = shop.post("/payments/stk-push/", data="{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, problem(answer)["status"]) == (415, 415)


def test_a_foreign_page_may_not_ask(shop: Shop) -> None:
    headers = {"Origin": "https://evil.example"}
    answer = shop.push(shop.order()["order_id"], new_phone_number(), headers=headers)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_form_without_csrf_token_is_refused(shop: Shop) -> None:
    answer = shop.post("/payments/stk-push/", data={"order_id": shop.order()["order_id"], "phone": "0712345678"})
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_only_post_asks(shop: Shop, method: str) -> None:
    answer = shop.request(method, "/payments/stk-push/")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("400.002.02", "Bad Request - Invalid PhoneNumber", "not_sent"),
        ("500.001.1001", "Wrong credentials", "our_fault"),
        ("500.001.1001", "Unable to lock subscriber, a transaction is already in process", "busy"),
        ("500.003.02", "System is busy. Please try again in few minutes.", "busy"),
    ],
)
def test_a_refusal_of_daraja_fails_the_payment_and_leaves_the_order_payable(
    shop: Shop, daraja: FakeDaraja, code: str, message: str, reason: str
) -> None:
    daraja.on_push = lambda push: refusal(code, message)
    order_id = shop.order()["order_id"]
    answer = shop.push(order_id, new_phone_number())
    refused = problem(answer)
    assert (answer.status_code, refused["code"]) == (502, "daraja_refused")
    document = shop.status(str(refused["transaction_id"]))
    assert (document["status"], document["reason"]) == ("FAILED", reason)
    daraja.behave()
    assert shop.push(order_id, new_phone_number()).status_code == 201


@pytest.mark.parametrize(
    "answer",
    [
        Answer(after=3),
        Answer(drops=True),
        Answer(403, raw=b"<html><body>Request rejected by the firewall</body></html>"),
        Answer(200, raw=b""),
        Answer(200, json={}),
        Answer(200, json=[]),
        Answer(500, json={"requestId": "1", "errorCode": "500.003.1001", "errorMessage": "Internal Server Error"}),
    ],
    ids=["timeout", "dropped", "firewall", "empty", "object", "array", "internal error"],
)
def test_a_lost_answer_leaves_the_payment_pending(shop: Shop, daraja: FakeDaraja, answer: Answer) -> None:
    daraja.on_push = lambda push: answer
    order_id, phone_number = shop.order()["order_id"], new_phone_number()
    told = shop.push(order_id, phone_number)
    unknown = problem(told)
    assert (told.status_code, unknown["code"]) == (503, "outcome_unknown")
    assert shop.status(str(unknown["transaction_id"]))["status"] == "PENDING"
    assert len(daraja.pushes_to(as_stored(phone_number))) == 1


@pytest.fixture(scope="module")
def cut_off_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose Daraja is not there at all."""
    settings = {"DARAJA_BASE_URL": f"http://127.0.0.1:{free_port()}", "RATE_LIMITS": "off"}
    with running_server(tmp_path_factory.mktemp("cut-off"), **settings) as server:
        yield Shop(server.base_url)


def test_without_daraja_nothing_was_sent_and_the_order_stays_payable(cut_off_shop: Shop) -> None:
    order_id, phone_number = cut_off_shop.order()["order_id"], new_phone_number()
    for _ in range(2):
        answer = cut_off_shop.push(order_id, phone_number)
        assert (answer.status_code, problem(answer)["code"]) == (503, "daraja_unreachable")
        assert int(answer.headers["Retry-After"]) > 0
    assert cut_off_shop.order_now(order_id)["status"] == "OPEN"


def test_eight_clicks_at_once_prompt_once(shop: Shop, daraja: FakeDaraja) -> None:
    order_id, phone_number = shop.order()["order_id"], new_phone_number()
    with ThreadPoolExecutor(8) as clicks:
        answers = list(clicks.map(lambda _: shop.push(order_id, phone_number), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["transaction_id"] for answer in answers}) == 1
    assert len(daraja.pushes_to(as_stored(phone_number))) == 1


def test_twelve_customers_at_once_share_tokens_that_kill_each_other(shop: Shop, daraja: FakeDaraja) -> None:
    daraja.tokens.clear()
    asked = [(shop.order()["order_id"], new_phone_number()) for _ in range(12)]
    with ThreadPoolExecutor(12) as customers:
        answers = list(customers.map(lambda who: shop.push(*who), asked))
    assert [answer.status_code for answer in answers] == [201] * 12


def test_a_key_repeats_the_first_answer(shop: Shop, daraja: FakeDaraja) -> None:
    order_id, phone_number = shop.order()["order_id"], new_phone_number()
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first, second = (shop.push(order_id, phone_number, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["checkout_request_id"] == second.json()["checkout_request_id"]
    assert len(daraja.pushes_to(as_stored(phone_number))) == 1


def test_a_key_for_another_body_is_422_and_a_short_one_400(shop: Shop) -> None:
    order_id, headers = shop.order()["order_id"], {"Idempotency-Key": str(uuid.uuid4())}
    shop.push(order_id, new_phone_number(), headers=headers)
    assert shop.push(order_id, new_phone_number(), headers=headers).status_code == 422
    assert shop.push(order_id, new_phone_number(), headers={"Idempotency-Key": "short"}).status_code == 400
