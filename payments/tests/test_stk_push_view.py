from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from payments.daraja import client as daraja_client
from payments.models import Reason, Transaction
from payments.tests.conftest import FakeDaraja, raising
from shop.request_models import IdempotencyKey
from tests.factories import make_order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("daraja")]

URL = "/payments/stk-push/"
PHONE = "0712 345 678"


def _post(client: Any, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post(URL, data, content_type="application/json", headers=headers)


def test_json_answers_201_with_document_and_ids(client: Any) -> None:
    order = make_order()
    response = _post(client, {"order_id": str(order.pk), "phone_number": PHONE})
    told = response.json()
    assert (response.status_code, told["status"], told["version"]) == (201, "PENDING", 1)
    assert told["merchant_request_id"]
    assert told["checkout_request_id"]
    assert "Set-Cookie" not in response


def test_the_second_post_answers_200_without_ids(client: Any) -> None:
    body = {"order_id": str(make_order().pk), "phone_number": PHONE}
    first, second = _post(client, body), _post(client, body)
    assert (second.status_code, second.json()["transaction_id"]) == (200, first.json()["transaction_id"])
    assert "checkout_request_id" not in second.json()


@pytest.mark.parametrize(
    "typed", ["", "123", 712345678, None, "0812345678", "+14155552671", "0712-FLOWER", "٠٧١٢٣٤٥٦٧٨", ["0712345678"]]
)
def test_other_numbers_are_refused_by_field(client: Any, typed: Any) -> None:
    response = _post(client, {"order_id": str(make_order().pk), "phone_number": typed})
    assert (response.status_code, response.json()["field"]) == (400, "phone_number")
    assert response["Content-Type"] == "application/problem+json"
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(("order_id", "status"), [("abc", 404), (str(uuid.uuid4()), 404), (5, 400), (None, 400)])
def test_unknown_orders(client: Any, order_id: Any, status: int) -> None:
    assert _post(client, {"order_id": order_id, "phone_number": PHONE}).status_code == status


def test_bodies_that_are_no_json_object(client: Any) -> None:
    for body in ("{", "[]", "null", b"\xff\xfe", '{"a":1,"a":2}', "[" * 2000, '{"a":NaN}'):
        assert _post(client, body).status_code == 400, body
    assert client.post(URL, "{}", content_type="text/plain").status_code == 415
    assert client.post(URL, "{}", content_type="application/vnd.api+json").status_code == 415
    assert client.get(URL).status_code == 405


def test_a_foreign_page_is_refused(client: Any) -> None:
    body = {"order_id": str(make_order().pk), "phone_number": PHONE}
    assert _post(client, body, Origin="https://evil.example").status_code == 403
    assert _post(client, body, Origin="null").status_code == 403


def test_a_refused_push_names_the_payment(client: Any, daraja: FakeDaraja) -> None:
    daraja.push = raising(daraja_client.DarajaRefused("500.001.1001", "Wrong credentials", Reason.OUR_FAULT))
    response = _post(client, {"order_id": str(make_order().pk), "phone_number": PHONE})
    assert (response.status_code, response.json()["code"]) == (502, "daraja_refused")
    assert response.json()["transaction_id"] == str(Transaction.objects.get().pk)


def test_a_form_needs_the_csrf_token() -> None:
    order = make_order()
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(URL, {"order_id": str(order.pk), "phone_number": PHONE}).status_code == 403
    assert not Transaction.objects.exists()


def test_a_form_goes_to_the_payment_page_which_shows_the_number_as_typed(client: Any) -> None:
    response = client.post(URL, {"order_id": str(make_order().pk), "phone": PHONE})
    payment = Transaction.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/payments/{payment.pk}/")
    assert PHONE in client.get(response["Location"]).text
    assert PHONE not in Client().get(response["Location"]).text


def test_a_form_with_a_bad_number_comes_back_with_the_error(client: Any) -> None:
    response = client.post(URL, {"order_id": str(make_order().pk), "phone_number": "07 12"})
    assert response.status_code == 400
    assert "07 12" in response.text
    assert "Enter a Safaricom number" in response.text


def test_htmx_gets_the_fragment(client: Any) -> None:
    form = {"order_id": str(make_order().pk), "phone_number": PHONE}
    response = client.post(URL, form, headers={"HX-Request": "true"})
    assert response.text.lstrip().startswith("<section")
    assert response["HX-Push-Url"] == f"/payments/{Transaction.objects.get().pk}/"


def test_an_idempotency_key_repeats_the_answer(client: Any, daraja: FakeDaraja) -> None:
    body = {"order_id": str(make_order().pk), "phone_number": PHONE}
    first = _post(client, body, Idempotency_Key="k" * 16)
    second = _post(client, body, Idempotency_Key="k" * 16)
    assert (second.status_code, len(daraja.pushes)) == (201, 1)
    assert second.json()["checkout_request_id"] == first.json()["checkout_request_id"]


def test_a_form_with_a_key_leads_to_the_payment_that_it_began(client: Any, daraja: FakeDaraja) -> None:
    order, key = make_order(), {"Idempotency-Key": "k" * 16}
    first = client.post(URL, {"order_id": str(order.pk), "phone": PHONE}, headers=key)
    Transaction.objects.update(status="FAILED", reason="cancelled", failed_at=timezone.now() - timedelta(hours=2))
    again = client.post(URL, {"order_id": str(order.pk), "phone": PHONE}, headers=key)
    assert (again.status_code, again["Location"], len(daraja.pushes)) == (303, first["Location"], 1)
    other = client.post(URL, {"order_id": str(order.pk), "phone": "0712345679"}, headers=key)
    assert (other.status_code, len(daraja.pushes)) == (422, 1)
    assert "was used with another request" in other.text
    short = client.post(URL, {"order_id": str(order.pk), "phone": PHONE}, headers={"Idempotency-Key": "k"})
    assert short.status_code == 400


def test_a_form_whose_outcome_is_unknown_is_not_sent_again(client: Any, daraja: FakeDaraja) -> None:
    daraja.push = raising(daraja_client.OutcomeUnknown("no answer"))
    order, key = make_order(), {"Idempotency-Key": "k" * 16}
    first = client.post(URL, {"order_id": str(order.pk), "phone": PHONE}, headers=key)
    Transaction.objects.update(status="FAILED", reason="expired", failed_at=timezone.now() - timedelta(hours=2))
    again = client.post(URL, {"order_id": str(order.pk), "phone": PHONE}, headers=key)
    assert (again.status_code, again["Location"], len(daraja.pushes)) == (303, first["Location"], 1)


def test_a_replay_shows_the_document_as_it_is_now(client: Any, post_callback: Any) -> None:
    body = {"order_id": str(make_order().pk), "phone_number": PHONE}
    _post(client, body, Idempotency_Key="k" * 16)
    post_callback(Transaction.objects.get())
    replay = _post(client, body, Idempotency_Key="k" * 16)
    assert (replay.status_code, replay.json()["status"]) == (201, "COMPLETED")


def test_a_key_is_bound_to_order_and_body(client: Any) -> None:
    order, other = make_order(), make_order()
    _post(client, {"order_id": str(order.pk), "phone_number": PHONE}, Idempotency_Key="k" * 16)
    changed = _post(client, {"order_id": str(order.pk), "phone_number": "0712345679"}, Idempotency_Key="k" * 16)
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = _post(client, {"order_id": str(other.pk), "phone_number": "0712345679"}, Idempotency_Key="k" * 16)
    assert elsewhere.status_code == 201


def test_short_keys_and_running_requests_are_refused(client: Any) -> None:
    order = make_order()
    body = {"order_id": str(order.pk), "phone_number": PHONE}
    assert _post(client, body, Idempotency_Key="short").status_code == 400
    assert _post(client, body, Idempotency_Key="k" * 256).status_code == 400
    _post(client, body, Idempotency_Key="k" * 16)
    IdempotencyKey.objects.update(status_code=None)
    assert _post(client, body, Idempotency_Key="k" * 16).json()["code"] == "in_progress"


def test_a_refusal_frees_the_key_and_an_unknown_outcome_keeps_it(client: Any, daraja: FakeDaraja) -> None:
    body = {"order_id": str(make_order().pk), "phone_number": PHONE}
    daraja.push = raising(daraja_client.DarajaUnreachable())
    assert _post(client, body, Idempotency_Key="k" * 16).status_code == 503
    daraja.push = raising(daraja_client.OutcomeUnknown())
    first = _post(client, body, Idempotency_Key="k" * 16)
    again = _post(client, body, Idempotency_Key="k" * 16)
    assert (first.status_code, again.status_code, len(daraja.pushes)) == (503, 503, 2)
    assert first.json()["transaction_id"] == again.json()["transaction_id"]


def test_a_replay_of_an_unknown_outcome_tells_what_became_of_it(
    client: Any, daraja: FakeDaraja, post_callback: Any
) -> None:
    body = {"order_id": str(make_order().pk), "phone_number": PHONE}
    daraja.push = raising(daraja_client.OutcomeUnknown())
    _post(client, body, Idempotency_Key="k" * 16)
    waiting = _post(client, body, Idempotency_Key="k" * 16).json()
    assert (waiting["payment"]["status"], "Do not pay again" in waiting["detail"]) == ("PENDING", True)
    post_callback(Transaction.objects.get())
    replay = _post(client, body, Idempotency_Key="k" * 16)
    told = replay.json()
    assert (replay.status_code, told["code"], told["status"]) == (503, "outcome_unknown", 503)
    assert (told["payment"]["status"], told["detail"]) == ("COMPLETED", told["payment"]["message"])


def test_the_order_document_lists_its_payments(client: Any) -> None:
    order = make_order()
    made = _post(client, {"order_id": str(order.pk), "phone_number": PHONE}).json()
    answer = client.get(f"/api/orders/{order.pk}/")
    told = answer.json()
    assert answer["Cache-Control"] == "no-store"
    assert [payment["transaction_id"] for payment in told["payments"]] == [made["transaction_id"]]
    assert (told["status"], told["amount_due"]) == ("OPEN", 1500)
    assert client.get("/api/orders/abc/").status_code == 404


def test_capability_pages_do_not_leak_their_address(client: Any) -> None:
    made = _post(client, {"order_id": str(make_order().pk), "phone_number": PHONE}).json()
    response = client.get(f"/payments/{made['transaction_id']}/")
    assert (response["Referrer-Policy"], response["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert response["Cache-Control"] == "no-store"
    assert "254712345678" not in response.text


@pytest.mark.parametrize("typed", ["0712\x00345678", "0712345678\ud800"])
def test_text_that_no_database_takes_is_refused_by_field(client: Any, typed: str) -> None:
    response = _post(client, {"order_id": str(make_order().pk), "phone_number": typed})
    assert (response.status_code, response.json()["field"]) == (400, "phone_number")
    assert _post(client, {"order_id": typed, "phone_number": PHONE}).status_code == 404


def test_a_form_for_an_unknown_order_gets_a_page(client: Any) -> None:
    for order_id in (str(uuid.uuid4()), "abc", ""):
        response = client.post(URL, {"order_id": order_id, "phone_number": PHONE})
        assert (response.status_code, "<html" in response.text) == (404, True)


def test_a_receipt_masks_the_number_even_for_who_typed_it(client: Any) -> None:
    page = client.post(URL, {"order_id": str(make_order().pk), "phone_number": PHONE})["Location"]
    assert PHONE in client.get(page).text
    assert PHONE not in client.get(f"{page}receipt/").text
