"""Every body that was recorded in the field, or printed by Safaricom, is understood."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from payments.daraja import results
from payments.daraja.codes import reason_for
from payments.daraja.results import Answer, parse_callback, parse_query
from payments.models import Reason

BODIES = Path(__file__).parent / "bodies"
CALLBACKS = json.loads((BODIES / "callbacks.json").read_text())
ANSWERS = json.loads((BODIES / "answers.json").read_text())
SUCCESSES = [sample for sample in CALLBACKS if sample["body"]["Body"]["stkCallback"]["ResultCode"] == 0]
FAILURES = [sample for sample in CALLBACKS if sample not in SUCCESSES]
REASONS = {
    1: Reason.INSUFFICIENT_FUNDS,
    1019: Reason.PROMPT_EXPIRED,
    1031: Reason.CANCELLED,
    1032: Reason.CANCELLED,
    1037: Reason.NO_RESPONSE,
    2001: Reason.WRONG_PIN,
}


def source_of(sample: dict[str, Any]) -> str:
    return str(sample["source"])[:40]


def items_of(sample: dict[str, Any]) -> dict[str, Any]:
    items = sample["body"]["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    return {item["Name"]: item.get("Value") for item in items}


@pytest.mark.parametrize("sample", CALLBACKS, ids=source_of)
def test_a_recorded_callback_keeps_its_ids_and_its_code_as_text(sample: dict[str, Any]) -> None:
    wire = sample["body"]["Body"]["stkCallback"]
    callback = parse_callback(json.dumps(sample["body"]).encode())
    assert callback.checkout_request_id == wire["CheckoutRequestID"]
    assert callback.merchant_request_id == wire["MerchantRequestID"]
    assert callback.result_code == str(wire["ResultCode"])
    assert callback.result_desc == wire["ResultDesc"]


@pytest.mark.parametrize("sample", SUCCESSES, ids=source_of)
def test_a_recorded_success_brings_amount_receipt_date_and_phone(sample: dict[str, Any]) -> None:
    items = items_of(sample)
    callback = parse_callback(json.dumps(sample["body"]).encode())
    assert callback.is_success
    assert callback.amount == items["Amount"]
    assert callback.mpesa_receipt_number == items["MpesaReceiptNumber"]
    assert callback.transaction_date == str(items["TransactionDate"])
    assert callback.phone_number == "254708374149"


def test_an_amount_is_read_as_it_stands_on_the_wire() -> None:
    body = json.dumps(SUCCESSES[0]["body"]).replace('"Value": 1.0}', '"Value": 1.00}')
    assert '"Value": 1.00}' in body
    assert str(parse_callback(body.encode()).amount) == "1.00"
    assert parse_callback(body.encode()).amount == 1


@pytest.mark.parametrize("sample", FAILURES, ids=source_of)
def test_a_recorded_failure_has_its_reason_and_no_amount(sample: dict[str, Any]) -> None:
    callback = parse_callback(json.dumps(sample["body"]).encode())
    assert not callback.is_success
    assert callback.amount is None
    assert callback.mpesa_receipt_number is None
    wire_code = sample["body"]["Body"]["stkCallback"]["ResultCode"]
    assert reason_for(callback.result_code, callback.result_desc) == REASONS[wire_code]


def answer_of(sample: dict[str, Any]) -> Answer:
    body = sample["body"]
    return Answer(sample["http_status"] or 400, b"" if body == "" else json.dumps(body).encode())


# What each recorded refusal of a push means: (code, a word of the message) → reason; None is an unknown outcome.
PUSH_REFUSALS = {
    ("404.001.03", ""): Reason.OUR_FAULT,
    ("", "apiproduct"): Reason.OUR_FAULT,
    ("400.002.02", ""): Reason.NOT_SENT,
    ("404.001.01", ""): Reason.OUR_FAULT,
    ("500.001.1001", "Merchant does not exist"): Reason.OUR_FAULT,
    ("500.001.1001", "Wrong credentials"): Reason.OUR_FAULT,
    ("500.001.1001", "Unable to lock"): Reason.BUSY,
    ("500.003.1001", ""): None,
    ("500.003.03", ""): Reason.BUSY,
    ("", "Merchant not allowed"): Reason.OUR_FAULT,
}


@pytest.mark.parametrize("sample", [s for s in ANSWERS if s["api"] == "push"], ids=source_of)
def test_a_recorded_refusal_of_a_push_has_its_reason(sample: dict[str, Any]) -> None:
    fault = answer_of(sample).fault
    assert fault is not None
    expected = [
        reason for (code, word), reason in PUSH_REFUSALS.items() if code == fault.code and word in fault.message
    ]
    assert len(expected) == 1
    assert reason_for(*fault) == expected[0]


@pytest.mark.parametrize("sample", [s for s in ANSWERS if s["api"] == "query"], ids=source_of)
def test_a_recorded_answer_to_a_query_settles_only_what_it_names(sample: dict[str, Any]) -> None:
    code = sample["body"].get("ResultCode")
    asked = sample["body"].get("CheckoutRequestID", "ws_CO_20022018230142206")
    told = parse_query(answer_of(sample), checkout_request_id=asked)
    assert told.outcome == {"0": "success", "1032": "failure"}.get(code, "pending")
    assert told.reason == (Reason.CANCELLED if code == "1032" else None)


def test_a_wrong_key_is_an_empty_body_and_no_fault() -> None:
    wrong_key = next(sample for sample in ANSWERS if sample["api"] == "oauth" and sample["body"] == "")
    assert answer_of(wrong_key).data is None
    assert answer_of(wrong_key).fault is None


def test_stale_tokens_are_told_from_missing_products() -> None:
    stale = {answer_of(sample).refuses_token for sample in ANSWERS if "Token" in str(sample["body"])}
    assert stale == {True, False}
    product = next(sample for sample in ANSWERS if "apiproduct" in str(sample["body"]))
    assert not answer_of(product).refuses_token


def test_amounts_compare_with_whole_shillings() -> None:
    assert results.parse_callback(json.dumps(SUCCESSES[-1]["body"]).encode()).amount == Decimal(100) == 100
