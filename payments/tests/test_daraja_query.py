"""What a query sends, and how little of what comes back settles a payment."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from payments.daraja.client import DarajaRefused, DarajaThrottled, OutcomeUnknown, QueryAnswer
from payments.models import Reason
from payments.tests.fake_daraja import (
    CHECKOUT_REQUEST_ID,
    OAUTH,
    PASSKEY,
    QUERY,
    SETTLED,
    SHORTCODE,
    FakeDaraja,
    ask,
    running_daraja,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def daraja(settings: Any) -> Iterator[FakeDaraja]:
    with running_daraja(settings) as server:
        yield server


def test_a_query_carries_shortcode_password_and_id(daraja: FakeDaraja) -> None:
    ask()
    sent = daraja.last(QUERY).body
    assert set(sent) == {"BusinessShortCode", "Password", "Timestamp", "CheckoutRequestID"}
    assert sent["CheckoutRequestID"] == CHECKOUT_REQUEST_ID
    assert base64.b64decode(sent["Password"]).decode() == f"{SHORTCODE}{PASSKEY}{sent['Timestamp']}"


def test_zero_is_a_success(daraja: FakeDaraja) -> None:
    assert ask() == QueryAnswer("success", "0", SETTLED["ResultDesc"])


@pytest.mark.parametrize("code", ["1032", 1032])
def test_a_listed_code_is_a_failure_with_its_reason(daraja: FakeDaraja, code: Any) -> None:
    daraja.say(QUERY, 200, {**SETTLED, "ResultCode": code, "ResultDesc": "[STK_CB - ]Request cancelled by user"})
    assert ask() == QueryAnswer("failure", "1032", "[STK_CB - ]Request cancelled by user", Reason.CANCELLED)


PENDING = {
    "still processing": (200, {**SETTLED, "ResultCode": "4999"}),
    "being processed": (500, {"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"}),
    "an empty error": (200, {"errorCode": "500.001.1001", "errorMessage": ""}),
    "asked too early": (400, {"errorCode": "400.002.02", "errorMessage": "Bad Request - Invalid CheckoutRequestID"}),
    "unknown to Daraja": (500, {"errorCode": "500.001.1001", "errorMessage": "The transaction does not Exist"}),
    "internal error": (500, {"errorCode": "500.003.1001", "errorMessage": "Internal Server Error"}),
    "locked": (500, {"errorCode": "500.001.1001", "errorMessage": "Unable to lock subscriber"}),
    "unlisted": (200, {**SETTLED, "ResultCode": "E3008"}),
    "a result beside an error": (200, {**SETTLED, "errorCode": "500.001.1001", "errorMessage": ""}),
    "a result with 500": (500, SETTLED),
    "a question not accepted": (200, {**SETTLED, "ResponseCode": "1"}),
    "another payment's answer": (200, {**SETTLED, "CheckoutRequestID": "ws_CO_17082026140403270837414"}),
    "an id that is no text": (200, {**SETTLED, "CheckoutRequestID": 5}),
    "a refusal's code as a result": (200, {**SETTLED, "ResultCode": "500.003.02"}),
    "zero as a float": (200, b'{"ResponseCode": "0", "ResultCode": 0.0}'),
    "zero below": (200, b'{"ResponseCode": "0", "ResultCode": -0}'),
    "true": (200, {**SETTLED, "ResultCode": True}),
    "null": (200, {**SETTLED, "ResultCode": None}),
    "no result": (200, {}),
}


@pytest.mark.parametrize(("status", "body"), PENDING.values(), ids=PENDING.keys())
def test_everything_else_leaves_the_payment_pending(daraja: FakeDaraja, status: int, body: Any) -> None:
    daraja.say(QUERY, status, body)
    told = ask()
    assert told.outcome == "pending"
    assert told.reason is None


def test_an_answer_without_an_id_is_taken_for_the_one_asked(daraja: FakeDaraja) -> None:
    daraja.say(QUERY, 200, {"ResponseCode": "0", "ResultCode": "0", "ResultDesc": "ok"})
    assert ask().outcome == "success"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"fault": {"faultstring": "Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=5}"}}),
        (429, b"<html>Too many</html>"),
        (500, {"errorCode": "500.003.02", "errorMessage": "Error Occurred: Spike Arrest Violation"}),
        (500, {"errorCode": "500.003.03", "errorMessage": "Quota Violation"}),
    ],
)
def test_asking_too_often_is_throttling(daraja: FakeDaraja, status: int, body: Any) -> None:
    daraja.say(QUERY, status, body)
    with pytest.raises(DarajaThrottled):
        ask()


@pytest.mark.parametrize("message", ["Wrong credentials", "Merchant does not exist"])
def test_a_wrong_setup_is_said_loudly_and_settles_nothing(daraja: FakeDaraja, message: str) -> None:
    daraja.say(QUERY, 500, {"errorCode": "500.001.1001", "errorMessage": message})
    with pytest.raises(DarajaRefused) as refusal:
        ask()
    assert refusal.value.reason == Reason.OUR_FAULT


@pytest.mark.parametrize(("status", "body"), [(403, b"<html></html>"), (200, b""), (502, b"bad gateway"), (200, b"[]")])
def test_what_is_not_daraja_speaking_is_no_answer(daraja: FakeDaraja, status: int, body: bytes) -> None:
    daraja.say(QUERY, status, body)
    with pytest.raises(OutcomeUnknown):
        ask()


@pytest.mark.parametrize(("status", "code"), [(400, "400.003.01"), (401, "401.002.01"), (404, "404.001.03")])
def test_a_stale_token_is_replaced_once(daraja: FakeDaraja, status: int, code: str) -> None:
    daraja.say(QUERY, status, {"errorCode": code, "errorMessage": "Invalid Access Token"})
    with pytest.raises(DarajaRefused) as refusal:
        ask()
    assert refusal.value.reason == Reason.OUR_FAULT
    assert daraja.counts == {OAUTH: 2, QUERY: 2}


def test_a_token_that_another_shop_killed_is_replaced_and_the_question_heard(daraja: FakeDaraja) -> None:
    ask()
    daraja.living_token = "another"
    assert ask().outcome == "success"
    assert daraja.counts == {OAUTH: 2, QUERY: 3}
