"""The query: what Daraja says about a payment, and in how many odd ways."""

from __future__ import annotations

import pytest

from simulator.tests.conftest import PHONE


def test_an_open_prompt_is_pending_with_4999(daraja):
    answer = daraja.query(daraja.accepted())
    assert answer.status_code == 200
    assert answer.json()["ResultCode"] == "4999"


def test_asked_too_early_daraja_does_not_know_the_id_yet(daraja, settings):
    settings.SIMULATOR_QUERY_READY_SECONDS = 60
    answer = daraja.query(daraja.accepted())
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == "Bad Request - Invalid CheckoutRequestID"


def test_an_unknown_id_does_not_exist(daraja):
    answer = daraja.query("ws_CO_241120260900001722000001")
    assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.001.1001")
    assert answer.json()["errorMessage"] == "The transaction does not Exist"


@pytest.mark.parametrize("value", ["", None, 5, "x", "ws_CO_" + "1" * 100, [], "ws_CO_é"])
def test_a_malformed_id_is_named(daraja, value):
    assert daraja.query(value).json()["errorMessage"] == "Bad Request - Invalid CheckoutRequestID"


def test_the_shop_proves_itself_to_the_query_too(daraja):
    checkout_request_id = daraja.accepted()
    wrong = daraja.query(checkout_request_id, Password=daraja.password("20200101000000"))
    assert wrong.json()["errorMessage"] == "Wrong credentials"
    assert daraja.query(checkout_request_id, Timestamp="now").json()["errorMessage"].endswith("Timestamp")


@pytest.mark.parametrize(
    ("outcome", "code", "desc"),
    [
        ("paid", "0", "The service request is processed successfully."),
        ("cancelled", "1032", "Request cancelled by user"),
        ("no_response", "1037", "DS timeout user cannot be reached."),
        ("unlisted", "E3008", "Error, the user has a bad debt contract."),
    ],
)
def test_a_settled_payment_is_told_as_strings_and_without_receipt(daraja, control, outcome, code, desc):
    checkout_request_id = daraja.accepted()
    control.answer(outcome=outcome)
    body = daraja.query(checkout_request_id).json()
    assert (body["ResponseCode"], body["ResultCode"], body["ResultDesc"]) == ("0", code, desc)
    assert set(body) == {
        "ResponseCode",
        "ResponseDescription",
        "MerchantRequestID",
        "CheckoutRequestID",
        "ResultCode",
        "ResultDesc",
    }


def test_the_classic_way_of_pending_is_http_500(daraja, control):
    control.post(f"phones/{PHONE}/", {"query": "classic"})
    answer = daraja.query(daraja.accepted())
    assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.001.1001")
    assert answer.json()["errorMessage"] == "The transaction is being processed"


def test_the_odd_way_of_pending_is_an_error_under_http_200(daraja, control):
    control.post(f"phones/{PHONE}/", {"query": "odd"})
    answer = daraja.query(daraja.accepted())
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["errorMessage"]) == (200, "500.001.1001", "")


def test_a_flaky_query_fails_every_second_time_even_when_settled(daraja, control):
    control.post(f"phones/{PHONE}/", {"query": "flaky"})
    checkout_request_id = daraja.accepted()
    control.answer(outcome="cancelled")
    assert [daraja.query(checkout_request_id).status_code for _ in range(4)] == [500, 200, 500, 200]


def test_a_throttled_query_answers_as_the_gateway_does(daraja, control):
    control.post(f"phones/{PHONE}/", {"query": "throttled"})
    answer = daraja.query(daraja.accepted())
    assert answer.status_code == 429
    assert answer.json()["fault"]["detail"]["errorcode"] == "policies.ratelimit.SpikeArrestViolation"


def test_queries_are_counted(daraja, control):
    checkout_request_id = daraja.accepted()
    for _ in range(3):
        daraja.query(checkout_request_id)
    assert control.prompt()["queries"] == 3
