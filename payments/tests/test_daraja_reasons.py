"""The one table: Daraja's code, and its message where the code alone means nothing, → reason."""

from __future__ import annotations

import pytest

from payments.daraja.codes import REFUSALS, RESULTS, alerts_staff, meaning_of, reason_for
from payments.models import Reason

CONTRACT = {
    Reason.CANCELLED: "1031 1032",
    Reason.INSUFFICIENT_FUNDS: "1",
    Reason.WRONG_PIN: "2001",
    Reason.NO_RESPONSE: "1036 1037",
    Reason.PROMPT_EXPIRED: "1019",
    Reason.BUSY: "26 1001 500.003.02 500.003.03",
    Reason.LIMIT: "2 3 4 17",
    Reason.ACCOUNT: "2006 8006",
    Reason.NOT_SENT: "1025 9999 400.002.02",
    Reason.OUR_FAULT: "8 21 1101 1102 2028 SFC_IC0003 404.001.03 400.003.01 401.002.01 404.001.01 404.001.04 405.001",
}
MESSAGES = [
    ("500.001.1001", "Unable to lock subscriber, a transaction is already in process", Reason.BUSY),
    ("500.001.1001", "Wrong credentials", Reason.OUR_FAULT),
    ("500.001.1001", "[MerchantValidate] - Wrong credentials", Reason.OUR_FAULT),
    ("500.001.1001", "Merchant does not exist", Reason.OUR_FAULT),
    ("", "Merchant not allowed to carry out transaction type CustomerPayBillOnline", Reason.OUR_FAULT),
    ("", "Invalid Access Token - Invalid API call as no apiproduct match found", Reason.OUR_FAULT),
    ("", "Missing ICCID value in request", Reason.NOT_SENT),
]
UNLISTED = ["0", "4999", "15", "20", "2008", "2026", "E3008", "R000001", "500.003.1001", "500.001.1001", "", "00", "1 "]


@pytest.mark.parametrize(("code", "reason"), [(code, r) for r, codes in CONTRACT.items() for code in codes.split()])
def test_a_listed_code_has_the_reason_of_the_contract(code: str, reason: Reason) -> None:
    assert reason_for(code) == reason


@pytest.mark.parametrize(("code", "message", "reason"), MESSAGES)
def test_the_message_decides_where_the_code_means_nothing(code: str, message: str, reason: Reason) -> None:
    assert reason_for(code, message) == reason
    assert reason_for(code, message.upper()) == reason


@pytest.mark.parametrize("code", UNLISTED)
def test_an_unlisted_code_has_no_reason(code: str) -> None:
    assert reason_for(code) is None


@pytest.mark.parametrize("message", ["The transaction is being processed", "The transaction does not Exist", ""])
def test_still_being_processed_is_no_reason(message: str) -> None:
    assert reason_for("500.001.1001", message) is None


@pytest.mark.parametrize("code", ["4999", "E3008", "2026"])
def test_the_text_of_an_unlisted_result_decides_nothing(code: str) -> None:
    assert reason_for(code, "Unable to lock subscriber. Wrong credentials.") is None


def test_no_result_of_a_payment_is_listed_beyond_the_contract() -> None:
    assert set(RESULTS) == {code for codes in CONTRACT.values() for code in codes.split() if "." not in code}


def test_staff_are_told_of_everything_that_is_our_fault() -> None:
    ours = {code for code, meaning in (RESULTS | REFUSALS).items() if meaning.reason == Reason.OUR_FAULT}
    assert {"8", "21", "2028", "404.001.03"} <= ours
    assert all(alerts_staff(code) for code in ours)


def test_staff_are_not_told_of_what_customers_do() -> None:
    assert not any(alerts_staff(code) for code in ("1", "1032", "1037", "2001", "26", "8006", "4999"))


def test_a_refused_field_alerts_staff_unless_it_is_the_customers() -> None:
    assert alerts_staff("400.002.02", "Bad Request - Invalid CallBackURL")
    assert not alerts_staff("400.002.02", "Bad Request - Invalid PhoneNumber")
    assert reason_for("400.002.02", "Bad Request - Invalid PhoneNumber") == Reason.NOT_SENT


def test_throttling_and_stale_tokens_are_marked() -> None:
    throttle = meaning_of("policies.ratelimit.SpikeArrestViolation")
    assert throttle
    assert throttle.is_throttle
    stale = meaning_of("404.001.03")
    assert stale
    assert stale.is_stale_token
