"""What a push sends, and which of Daraja's answers are a yes, a no, or neither."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django_daraja.mpesa import core
from django_daraja.mpesa.core import MpesaClient
from django_daraja.mpesa.utils import generate_access_token_request

from payments.daraja.client import (
    DarajaRefused,
    DarajaThrottled,
    OutcomeUnknown,
    PushAccepted,
)
from payments.models import Reason
from payments.tests.fake_daraja import (
    ACCEPTED,
    CHECKOUT_REQUEST_ID,
    PASSKEY,
    PUSH,
    SHORTCODE,
    FakeDaraja,
    push,
    running_daraja,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def daraja(settings: Any) -> Iterator[FakeDaraja]:
    with running_daraja(settings) as server:
        yield server


def test_an_accepted_push_gives_both_ids(daraja: FakeDaraja) -> None:
    assert push() == PushAccepted(ACCEPTED["MerchantRequestID"], CHECKOUT_REQUEST_ID)


def test_a_push_carries_what_checkout_asked_for(daraja: FakeDaraja) -> None:
    push()
    sent = daraja.last(PUSH).body
    assert sent["TransactionType"] == "CustomerPayBillOnline"
    assert sent["BusinessShortCode"] == sent["PartyB"] == SHORTCODE
    assert sent["PartyA"] == sent["PhoneNumber"] == "254708374149"
    assert sent["Amount"] == 1500
    assert sent["CallBackURL"] == "https://shop.example/payments/callback/0011.2233/"
    assert (sent["AccountReference"], sent["TransactionDesc"]) == ("7QK3M9TXAB34", "Pay 7QK3M9TX")


def test_a_till_is_paid_as_a_till_through_its_store(daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_TILL_NUMBER = "5554321"
    push()
    sent = daraja.last(PUSH).body
    assert sent["TransactionType"] == "CustomerBuyGoodsOnline"
    assert sent["PartyB"] == "5554321"
    assert sent["BusinessShortCode"] == SHORTCODE


@pytest.mark.parametrize("environment", ["simulator", "sandbox", "production"])
def test_every_environment_uses_the_address_and_shortcode_of_the_settings(
    daraja: FakeDaraja, settings: Any, environment: str
) -> None:
    settings.MPESA_ENVIRONMENT = environment
    push()
    assert daraja.last(PUSH).body["BusinessShortCode"] == SHORTCODE


def test_a_base_url_may_have_a_path(daraja: FakeDaraja, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DARAJA_BASE_URL = f"{daraja.url}/simulator"
    from payments.tests import fake_daraja

    monkeypatch.setattr(fake_daraja, "PATHS", {f"/simulator{path}": kind for path, kind in fake_daraja.PATHS.items()})
    assert push().checkout_request_id == CHECKOUT_REQUEST_ID


def test_timestamp_and_password_are_of_nairobi(daraja: FakeDaraja, settings: Any) -> None:
    settings.TIME_ZONE = "America/Lima"
    with time_machine.travel(datetime(2026, 11, 23, 22, 30, 5, tzinfo=UTC), tick=True):
        push()
    sent = daraja.last(PUSH).body
    timestamp = datetime.strptime(sent["Timestamp"], "%Y%m%d%H%M%S")
    assert timedelta() <= timestamp - datetime(2026, 11, 24, 1, 30, 5) < timedelta(seconds=20)
    assert base64.b64decode(sent["Password"]).decode() == f"{SHORTCODE}{PASSKEY}{sent['Timestamp']}"


def test_pushes_keep_their_connection(daraja: FakeDaraja) -> None:
    for _number in range(3):
        push()
    assert len({seen.connection for seen in daraja.seen}) == 1


def test_cookies_are_not_kept(daraja: FakeDaraja) -> None:
    daraja.say(PUSH, 200, ACCEPTED, Set_Cookie="visid=1; Path=/")
    push()
    push()
    assert "Cookie" not in daraja.last(PUSH).headers


def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert push().checkout_request_id == CHECKOUT_REQUEST_ID


def test_django_daraja_still_reads_the_names_that_we_put_in_their_place() -> None:
    assert {"requests", "api_base_url", "datetime", "mpesa_access_token", "mpesa_response"} <= set(
        MpesaClient.stk_push.__code__.co_names
    )
    assert {"requests", "api_base_url"} <= set(generate_access_token_request.__code__.co_names)


def test_django_daraja_itself_is_left_as_it_is(daraja: FakeDaraja) -> None:
    before = dict(vars(core))
    push()
    assert vars(core) == before


REFUSALS = [
    (404, "404.001.01", "Resource not found", Reason.OUR_FAULT),
    (404, "404.001.04", "Invalid Authentication Header", Reason.OUR_FAULT),
    (405, "405.001", "Method Not Allowed", Reason.OUR_FAULT),
    (400, "400.002.02", "Bad Request - Invalid PhoneNumber", Reason.NOT_SENT),
    (500, "500.001.1001", "Merchant does not exist", Reason.OUR_FAULT),
    (500, "500.001.1001", "[MerchantValidate] - Wrong credentials", Reason.OUR_FAULT),
    (500, "500.001.1001", "Unable to lock subscriber, a transaction is already in process", Reason.BUSY),
    (200, "500.001.1001", "Unable to lock subscriber, a transaction is already in process", Reason.BUSY),
    (400, "?", "Missing ICCID value in request", Reason.NOT_SENT),
    (400, None, "Merchant not allowed to carry out transaction type CustomerPayBillOnline", Reason.OUR_FAULT),
    (401, None, "Invalid Access Token - Invalid API call as no apiproduct match found", Reason.OUR_FAULT),
]


@pytest.mark.parametrize(("status", "code", "message", "reason"), REFUSALS)
def test_a_code_that_says_no_is_a_refusal(
    daraja: FakeDaraja, status: int, code: str | None, message: str, reason: Reason
) -> None:
    daraja.say(PUSH, status, {"requestId": "1", "errorCode": code, "errorMessage": message})
    with pytest.raises(DarajaRefused) as refusal:
        push()
    assert type(refusal.value) is DarajaRefused
    assert refusal.value.reason == reason
    assert refusal.value.message == message
    assert daraja.counts[PUSH] == 1


SPIKE = {
    "fault": {
        "faultstring": "Spike arrest violation. Allowed rate : MessageRate{capacity=5, period=Minutes}",
        "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
    }
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"errorCode": "500.003.02", "errorMessage": "System is busy. Please try again in few minutes."}),
        (500, {"errorCode": "500.003.02", "errorMessage": "Error Occurred: Spike Arrest Violation"}),
        (500, {"errorCode": "500.003.03", "errorMessage": "Quota Violation"}),
        (429, SPIKE),
        (500, SPIKE),
        (429, {"anything": "else"}),
    ],
)
def test_a_busy_daraja_is_throttling(daraja: FakeDaraja, status: int, body: Any) -> None:
    daraja.say(PUSH, status, body)
    with pytest.raises(DarajaThrottled) as refusal:
        push()
    assert refusal.value.reason == Reason.BUSY
    assert daraja.counts[PUSH] == 1


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in ACCEPTED.items() if key != name}


NEITHER = {
    "internal error": (500, {"errorCode": "500.003.1001", "errorMessage": "Internal Server Error"}),
    "bare 500.001.1001": (500, {"errorCode": "500.001.1001", "errorMessage": ""}),
    "unlisted code": (400, {"errorCode": "400.999.99", "errorMessage": "What is this"}),
    "code and acceptance at once": (200, {**ACCEPTED, "errorCode": "500.999", "errorMessage": "x"}),
    "a firewall's page": (403, b"<html><title>Request Rejected</title></html>"),
    "a gateway's page": (503, b"<html>Service Unavailable</html>"),
    "a page with 200": (200, b"<html>Welcome</html>"),
    "empty": (200, b""),
    "empty 500": (500, b""),
    "empty object": (200, {}),
    "a list": (200, [ACCEPTED]),
    "half a body": (200, b'{"ResponseCode": "0", "CheckoutReq'),
    "another code": (200, {**ACCEPTED, "ResponseCode": "1"}),
    "no code": (200, without("ResponseCode")),
    "no id": (200, without("CheckoutRequestID")),
    "an odd id": (200, {**ACCEPTED, "CheckoutRequestID": ["x"]}),
    "an endless id": (200, {**ACCEPTED, "CheckoutRequestID": "x" * 101}),
    "acceptance with 500": (500, ACCEPTED),
    "too large": (200, {**ACCEPTED, "Extra": "x" * 70_000}),
    "NaN": (200, b'{"ResponseCode": NaN}'),
}


@pytest.mark.parametrize(("status", "body"), NEITHER.values(), ids=NEITHER.keys())
def test_an_answer_that_is_neither_yes_nor_no_is_unknown(daraja: FakeDaraja, status: int, body: Any) -> None:
    daraja.say(PUSH, status, body)
    with pytest.raises(OutcomeUnknown):
        push()
    assert daraja.counts[PUSH] == 1


def test_a_missing_merchant_request_id_does_not_lose_an_accepted_push(daraja: FakeDaraja) -> None:
    daraja.say(PUSH, 200, without("MerchantRequestID"))
    assert push() == PushAccepted("", CHECKOUT_REQUEST_ID)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(daraja: FakeDaraja, status: int) -> None:
    daraja.say(PUSH, status, b"", Location=f"{daraja.url}/mpesa/stkpush/v1/processrequest")
    with pytest.raises(OutcomeUnknown):
        push()
    assert daraja.counts[PUSH] == 1


@pytest.mark.parametrize("changes", [{"amount": "12"}, {"account_reference": " "}, {"phone_number": "07"}])
def test_what_django_daraja_refuses_is_not_sent(daraja: FakeDaraja, changes: dict[str, Any]) -> None:
    with pytest.raises(DarajaRefused) as refusal:
        push(**changes)
    assert refusal.value.reason == Reason.OUR_FAULT
    assert daraja.counts[PUSH] == 0


def test_a_passkey_that_is_not_ascii_is_our_fault(daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_PASSKEY = "schlüssel"
    with pytest.raises(DarajaRefused) as refusal:
        push()
    assert refusal.value.reason == Reason.OUR_FAULT
    assert daraja.counts[PUSH] == 0
