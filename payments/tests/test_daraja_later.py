"""Results as Daraja writes them, and as it should not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payments.daraja.later import NotAResult, parse_result, transaction_told


def body(**changes: Any) -> bytes:
    return json.dumps({"Result": {"ResultType": 0, "ResultCode": 0, "ResultDesc": "ok", **changes}}).encode()


@pytest.mark.parametrize(
    ("code", "text", "succeeds"),
    [(0, "0", True), ("0", "0", True), (21, "21", False), ("R000001", "R000001", False), ("00", "00", False)],
)
def test_a_code_may_be_a_number_or_text(code: object, text: str, succeeds: bool) -> None:
    result = parse_result(body(ResultCode=code))
    assert (result.result_code, result.is_success) == (text, succeeds)


@pytest.mark.parametrize("code", [None, True, False, 0.0, [], {}, "", " 0"])
def test_without_a_code_it_is_no_result(code: object) -> None:
    with pytest.raises(NotAResult):
        parse_result(body(ResultCode=code))


def test_one_parameter_may_stand_without_a_list() -> None:
    result = parse_result(body(ResultParameters={"ResultParameter": {"Key": "Amount", "Value": "25.00"}}))
    assert result.amount == 25


def test_a_name_that_comes_twice_counts_only_when_it_says_the_same() -> None:
    parameters = [
        {"Key": "DebitPartyName", "Value": "254708374149 - John Doe"},
        {"Key": "DebitPartyName", "Value": "600310 - Shop"},
        {"Key": "CreditPartyName", "Value": "600310 - Shop"},
        {"Key": "CreditPartyName", "Value": "600310 - Shop"},
        {"Key": "TransactionReason"},
        {"Key": "TransactionStatus", "Value": "Completed"},
        {"Key": "ReceiptNo", "Value": "UKP7R2X0QD"},
        {"Key": "Amount", "Value": 300},
        {"Key": "FinalisedTime", "Value": 20261125101010},
    ]
    told = transaction_told(parse_result(body(ResultParameters={"ResultParameter": parameters})))
    assert (told.debit_party, told.credit_party) == ("", "600310 - Shop")
    assert (told.is_completed, told.receipt, told.amount) == (True, "UKP7R2X0QD", 300)
    assert told.finalised == "20261125101010"


@pytest.mark.parametrize(
    "holder",
    [
        {},
        "",
        None,
        {"ResultParameter": []},
        {"ResultParameter": None},
        {"ResultParameter": [{"Key": "A", "Value": {}}]},
    ],
)
def test_nothing_usable_is_nothing(holder: object) -> None:
    result = parse_result(body(ResultParameters=holder))
    assert (result.amount, result.receipt) == (None, "")


@pytest.mark.parametrize("holder", [[], 5, {"ResultParameter": ["x"]}, {"ResultParameter": [{"Value": 1}]}])
def test_parameters_of_another_shape_are_no_result(holder: object) -> None:
    with pytest.raises(NotAResult):
        parse_result(body(ResultParameters=holder))
