"""One payment, one document: whoever asks, by whatever route, is told the same and of the same version."""

from __future__ import annotations

import re
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from tests.client import Shop, next_document
from tests.conftest import Payment
from tests.patience import PATIENCE

COUNTED = {"prompt_expires_in", "expires_in"}  # seconds from now: they differ from one second to the next
ONLY_ON_PUSH = {"merchant_request_id", "checkout_request_id"}
KEYS = {
    "transaction_id", "order_id", "status", "reason", "version", "amount", "currency", "phone_number",
    "mpesa_receipt_number", "message", "can_retry", "retry_after", "final", "prompt_expires_in", "expires_in", "late",
    "surplus", "refunded_amount", "created_at", "updated_at", "expires_at",
}  # fmt: skip


def same(document: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in document.items() if name not in COUNTED | ONLY_ON_PUSH}


def version_on_page(shop: Shop, payment: Payment) -> int:
    page = shop.get(f"/payments/{payment.id}/")
    assert page.status_code == 200
    return int(re.search(r'data-version="(\d+)"', page.text)[1])


def test_push_poll_held_poll_and_socket_say_the_same(shop: Shop, payment: Payment) -> None:
    with shop.socket(payment.id) as socket:
        told = [payment.document, shop.status(payment.id), shop.status(payment.id, since=0, wait=5)]
        told.append(next_document(socket))
    assert set(told[1]) == KEYS
    assert all(same(document) == same(told[0]) for document in told)
    assert version_on_page(shop, payment) == told[0]["version"]


def test_they_say_the_same_once_it_is_paid(shop: Shop, payment: Payment) -> None:
    payment.push.succeed()
    with shop.socket(payment.id) as socket:
        on_socket = next_document(socket)
    polled = shop.status(payment.id)
    assert polled == on_socket == shop.status(payment.id, since=1, wait=5)
    assert version_on_page(shop, payment) == polled["version"]
    again = shop.push(payment.order_id, "0712345678")
    assert again.status_code == 409


def test_a_held_poll_is_answered_by_the_callback(shop: Shop, payment: Payment) -> None:
    with ThreadPoolExecutor(1) as poller:
        held = poller.submit(shop.status, payment.id, since=payment.document["version"], wait=25)
        time.sleep(0.5)
        assert not held.done()
        payment.push.succeed()
        assert held.result(timeout=15)["status"] == "COMPLETED"


def test_a_held_poll_without_news_answers_the_document_as_it_is(shop: Shop, payment: Payment) -> None:
    asked_at = time.monotonic()
    document = shop.status(payment.id, since=payment.document["version"], wait=1)
    assert time.monotonic() - asked_at >= 0.9
    assert same(document) == same(payment.document)


def test_the_fifth_held_poll_is_answered_at_once(shop: Shop, payment: Payment) -> None:
    with ThreadPoolExecutor(5) as pollers:
        held = [pollers.submit(shop.status, payment.id, since=payment.document["version"], wait=5) for _ in range(5)]
        answered, still_held = wait(held, timeout=PATIENCE, return_when=FIRST_COMPLETED)
        assert (len(answered), len(still_held)) == (1, 4)


@pytest.mark.parametrize("wait", ["-1", "x", "1e3", "", "٣"])
def test_a_wait_that_is_no_number_is_400(shop: Shop, payment: Payment, wait: str) -> None:
    answer = shop.get("/payments/status/", params={"transaction_id": payment.id, "since": "1", "wait": wait})
    assert answer.status_code == 400


def test_an_unchanged_document_is_304(shop: Shop, payment: Payment) -> None:
    first = shop.get("/payments/status/", params={"transaction_id": payment.id})
    assert first.headers["ETag"].startswith('W/"')
    assert first.headers["Cache-Control"] == "private, no-cache"
    headers = {"If-None-Match": first.headers["ETag"]}
    second = shop.get("/payments/status/", params={"transaction_id": payment.id}, headers=headers)
    assert (second.status_code, second.content) == (304, b"")
    assert int(second.headers["Retry-After"]) == int(first.headers["Retry-After"]) > 0


def test_a_final_document_needs_no_further_poll(shop: Shop, payment: Payment) -> None:
    payment.push.succeed()
    answer = shop.get("/payments/status/", params={"transaction_id": payment.id})
    assert answer.json()["final"] is True
    assert "Retry-After" not in answer.headers


def test_the_message_is_in_the_readers_language(shop: Shop, payment: Payment) -> None:
    english, swahili = (
        shop.get("/payments/status/", params={"transaction_id": payment.id}, headers={"Accept-Language": language})
        for language in ("en", "sw")
    )
    assert english.json()["message"] != swahili.json()["message"]
    assert english.headers["ETag"] != swahili.headers["ETag"]


def test_the_phone_number_is_masked_everywhere(shop: Shop, payment: Payment) -> None:
    number = payment.push.phone_number
    shown = [str(payment.document), str(shop.status(payment.id)), str(shop.order_now(payment.order_id))]
    shown.append(shop.get(f"/payments/{payment.id}/").text)
    shown = [text.replace(str(payment.document["checkout_request_id"]), "") for text in shown]
    assert not [text for text in shown if number in text or number[3:] in text]
