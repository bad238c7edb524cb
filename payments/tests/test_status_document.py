from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import AsyncClient
from django.utils import timezone

from payments import waiting
from payments.amendments import put_under_review
from payments.documents import document, facts
from payments.models import Reason, Source, Status
from payments.transitions import transition
from shop.models import Order
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db

URL = "/payments/status/"
KEYS = [
    "transaction_id",
    "order_id",
    "status",
    "reason",
    "version",
    "amount",
    "currency",
    "phone_number",
    "mpesa_receipt_number",
    "message",
    "can_retry",
    "retry_after",
    "final",
    "prompt_expires_in",
    "expires_in",
    "late",
    "surplus",
    "refunded_amount",
    "created_at",
    "updated_at",
    "expires_at",
]


def _failed(reason: Reason, **fields: Any) -> Any:
    return make_transaction(status=Status.FAILED, reason=reason, **{"failed_at": timezone.now(), **fields})


def test_the_document_of_a_fresh_payment(client: Any) -> None:
    payment = make_transaction(phone_number="254708374149")
    told = client.get(URL, {"transaction_id": str(payment.pk)}).json()
    assert list(told) == KEYS
    assert (told["status"], told["reason"], told["version"], told["final"]) == ("PENDING", None, 1, False)
    assert (told["amount"], told["currency"], told["phone_number"]) == (1500, "KES", "2547•••••149")
    assert 59 <= told["prompt_expires_in"] <= 60
    assert 179 <= told["expires_in"] <= 180
    assert told["created_at"].endswith("Z")


def test_seconds_are_only_counted_while_open() -> None:
    told = document(facts(_failed(Reason.CANCELLED)))
    assert (told["prompt_expires_in"], told["expires_in"]) == (None, None)


def test_unknown_and_malformed_ids_are_not_found(client: Any) -> None:
    for text in ("", "abc", str(uuid.uuid4()), "1", "٣" * 32, f"{{{uuid.uuid4()}}}", "\x00"):
        assert client.get(URL, {"transaction_id": text}).status_code == 404, text
    assert client.get(URL).status_code == 404


def test_an_id_has_one_spelling(client: Any) -> None:
    known = make_transaction().pk
    for text in (f"urn:{known.hex}", f"{known.hex}----", f"--{str(known)[:-2]}"):
        assert client.get(URL, {"transaction_id": text}).status_code == 404, text
    assert client.get(URL, {"transaction_id": str(known)}).status_code == 200


def test_etag_answers_304_with_the_same_retry_after(client: Any) -> None:
    query = {"transaction_id": str(make_transaction().pk)}
    first = client.get(URL, query)
    second = client.get(URL, query, headers={"If-None-Match": first["ETag"]})
    assert (first["ETag"], first["Cache-Control"]) == ('W/"1-en-0"', "private, no-cache")
    assert (first["Referrer-Policy"], first["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert (second.status_code, second["Retry-After"], second.content) == (304, first["Retry-After"], b"")


def test_the_etag_differs_by_language(client: Any) -> None:
    query = {"transaction_id": str(make_transaction().pk)}
    assert client.get(URL, query, headers={"Accept-Language": "sw"})["ETag"] == 'W/"1-sw-0"'


def test_a_final_document_needs_no_poll(client: Any) -> None:
    payment = make_transaction(status=Status.COMPLETED, completed_at=timezone.now())
    response = client.get(URL, {"transaction_id": str(payment.pk)})
    assert response.json()["final"] is True
    assert "Retry-After" not in response


@pytest.mark.parametrize(
    ("reason", "minutes", "final"), [("cancelled", 1, False), ("cancelled", 16, True), ("not_sent", 0, True)]
)
def test_a_young_failure_may_still_become_paid(client: Any, reason: Reason, minutes: int, final: bool) -> None:
    payment = _failed(reason, failed_at=timezone.now() - timedelta(minutes=minutes))
    response = client.get(URL, {"transaction_id": str(payment.pk)})
    assert response.json()["final"] is final
    assert response.get("Retry-After") == (None if final else "60")


def test_no_money_was_taken_is_said_only_when_proven() -> None:
    proven = document(facts(_failed(Reason.NO_RESPONSE, failed_by=Source.CALLBACK)))
    named_once = document(facts(_failed(Reason.NO_RESPONSE, failed_by=Source.EXPIRY)))
    expired = document(facts(_failed(Reason.EXPIRED, failed_by=Source.EXPIRY)))
    assert "No money was taken" in proven["message"]
    assert "No money" not in named_once["message"] + expired["message"]


def test_retry_says_what_a_push_would_answer() -> None:
    assert document(facts(_failed(Reason.CANCELLED)))["can_retry"] is True
    busy = document(facts(_failed(Reason.BUSY)))
    assert (busy["can_retry"], busy["retry_after"]) == (False, 60)
    paid = make_order(status=Order.Status.PAID, amount_paid=1500)
    assert document(facts(_failed(Reason.CANCELLED, order=paid)))["can_retry"] is False


def test_no_retry_while_another_attempt_is_open() -> None:
    order = make_order()
    failed = _failed(Reason.CANCELLED, order=order)
    make_transaction(order=order)
    told = document(facts(failed))
    assert told["can_retry"] is False
    assert 179 <= told["retry_after"] <= 180


def test_a_payment_under_review_says_do_not_pay_again() -> None:
    payment = make_transaction()
    put_under_review(payment.pk, source=Source.CALLBACK)
    payment.refresh_from_db()
    told = document(facts(payment))
    assert (told["version"], told["message"]) == (2, "The shop is checking this payment. Do not pay again.")


@pytest.mark.parametrize("query", [{"wait": "x"}, {"wait": "-1"}, {"since": "1.5"}, {"since": "٣"}, {"wait": "NaN"}])
def test_nonsense_is_refused(client: Any, query: dict[str, str]) -> None:
    response = client.get(URL, {"transaction_id": str(make_transaction().pk), **query})
    assert (response.status_code, response.json()["field"]) == (400, next(iter(query)))


@pytest.mark.parametrize("query", [{"wait": "9" * 12}, {"wait": "9" * 5000}, {"since": "0" * 5000, "wait": "025"}])
def test_a_number_of_any_length_is_a_number(client: Any, query: dict[str, str]) -> None:
    assert client.get(URL, {"transaction_id": str(make_transaction().pk), **query}).status_code == 200


async def _until_held(polls: int) -> None:
    for _ in range(500):
        if waiting.count() >= polls:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{waiting.count()} of {polls} polls are held")


@pytest.mark.django_db(transaction=True)
async def test_a_held_poll_answers_as_soon_as_there_is_something_newer() -> None:
    from asgiref.sync import sync_to_async

    payment = await sync_to_async(make_transaction)()
    poll = AsyncClient().get(URL, {"transaction_id": str(payment.pk), "since": "1", "wait": "20"})
    held = asyncio.create_task(poll)
    await _until_held(1)
    await sync_to_async(transition)(payment.pk, Status.COMPLETED, source=Source.CALLBACK)
    waiting.wake(payment.pk, 2)
    told = (await asyncio.wait_for(held, 5)).json()
    assert (told["status"], told["version"], waiting.count()) == ("COMPLETED", 2, 0)


@pytest.mark.django_db(transaction=True)
async def test_a_held_poll_ends_with_the_document_as_it_is() -> None:
    from asgiref.sync import sync_to_async

    payment = await sync_to_async(make_transaction)()
    response = await AsyncClient().get(URL, {"transaction_id": str(payment.pk), "since": "1", "wait": "1"})
    assert (response.status_code, response.json()["version"]) == (200, 1)


@pytest.mark.django_db(transaction=True)
async def test_a_fifth_held_poll_of_a_payment_is_answered_at_once() -> None:
    from asgiref.sync import sync_to_async

    payment = await sync_to_async(make_transaction)()
    query = {"transaction_id": str(payment.pk), "since": "1", "wait": "25"}
    held = [asyncio.create_task(AsyncClient().get(URL, query)) for _ in range(4)]
    await _until_held(4)
    assert (await asyncio.wait_for(AsyncClient().get(URL, query), 5)).status_code == 200
    waiting.wake(payment.pk, 2)
    await asyncio.gather(*held)
