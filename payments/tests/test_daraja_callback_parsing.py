"""A callback's body may come from anybody: whatever it is, it is read exactly or refused."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.daraja.results import NotACallback, StkCallback, parse_callback

TRUE = {
    "MerchantRequestID": "f1e2-4b95-a71d-b30d3cdbb7a7942864",
    "CheckoutRequestID": "ws_CO_21072024125243250708374149",
    "ResultCode": 0,
    "ResultDesc": "The service request is processed successfully.",
    "CallbackMetadata": {
        "Item": [
            {"Name": "Amount", "Value": 1500},
            {"Name": "MpesaReceiptNumber", "Value": "UGK1AB2C3D"},
            {"Name": "Balance"},
            {"Name": "TransactionDate", "Value": 20240721125312},
            {"Name": "PhoneNumber", "Value": 254708374149},
        ]
    },
}


def body(**changes: Any) -> bytes:
    """A true callback with some members changed; None takes one away."""
    callback = {name: value for name, value in {**TRUE, **changes}.items() if value is not None}
    return json.dumps({"Body": {"stkCallback": callback}}).encode()


def with_item(name: str, *values: Any) -> bytes:
    """A true callback that has this item once for each of the values."""
    others = [item for item in TRUE["CallbackMetadata"]["Item"] if item["Name"] != name]
    return body(CallbackMetadata={"Item": [*others, *({"Name": name, "Value": value} for value in values)]})


def with_code(literal: str) -> bytes:
    return body(ResultCode="@").replace(b'"@"', literal.encode())


def refused(content: bytes) -> str:
    with pytest.raises(NotACallback) as refusal:
        parse_callback(content)
    return str(refusal.value)


@pytest.mark.parametrize("literal", ["0", '"0"'])
def test_zero_as_an_integer_or_as_a_string_is_success(literal: str) -> None:
    assert parse_callback(with_code(literal)).is_success


NEVER = ["0.0", "-0", "0e0", "true", "false", "null", '"0 "', '" 0"', '"00"', '"-0"', '"+0"', '"0.0"', '""', "[]", "{}"]


@pytest.mark.parametrize("literal", [*NEVER, "[0]", '"٠"', '"O"', "00", "1", "4999", '"SFC_IC0003"'])
def test_nothing_else_is_success(literal: str) -> None:
    with contextlib.suppress(NotACallback):
        assert not parse_callback(with_code(literal)).is_success


def test_a_code_that_is_not_numeric_is_kept_as_text() -> None:
    assert parse_callback(with_code('"SFC_IC0003"')).result_code == "SFC_IC0003"


@pytest.mark.parametrize(
    ("literal", "amount"), [("1500", 1500), ("1500.00", 1500), ('"1500"', 1500), ('"1500.0"', 1500), ("1.004", "1.004")]
)
def test_an_amount_is_an_integer_a_decimal_or_a_numeric_string(literal: str, amount: Any) -> None:
    content = with_item("Amount", "@").replace(b'"@"', literal.encode())
    assert parse_callback(content).amount == Decimal(amount)


@pytest.mark.parametrize("value", [None, True, "", "abc", "1e3", "1,500", " 1500", "١٥٠٠", "NaN", [1500], {"a": 1}])
def test_an_amount_that_is_no_number_counts_as_absent(value: Any) -> None:
    callback = parse_callback(with_item("Amount", value))
    assert callback.is_success
    assert callback.amount is None


@pytest.mark.parametrize("literal", ["0", "-1500", "1.004", "9" * 40, "1e300", "1E-300"])
def test_an_odd_amount_is_told_as_it_is_so_that_it_differs(literal: str) -> None:
    content = with_item("Amount", "@").replace(b'"@"', literal.encode())
    amount = parse_callback(content).amount
    assert amount is not None
    assert amount != 1500
    assert len(str(int(amount))) < 400


@pytest.mark.parametrize("values", [(1500, 1500), (1500, 1), (1, 1500), (None, 1500), (1500, 1500, 1500)])
def test_an_amount_that_comes_twice_is_ambiguous(values: tuple[Any, ...]) -> None:
    assert parse_callback(with_item("Amount", *values)).amount is None


def test_a_receipt_that_comes_twice_is_ambiguous() -> None:
    assert parse_callback(with_item("MpesaReceiptNumber", "UGK1AB2C3D", "UGK1AB2C3E")).mpesa_receipt_number is None


@pytest.mark.parametrize("value", [None, 17, True, "", "UGK1 AB2C3D", "x" * 41, "<b>", "ÜGK1AB2C3D", ["UGK1AB2C3D"]])
def test_a_receipt_of_another_form_counts_as_absent(value: Any) -> None:
    assert parse_callback(with_item("MpesaReceiptNumber", value)).mpesa_receipt_number is None


@pytest.mark.parametrize("value", ["0722000***", "254708***430", 254708374149])
def test_a_phone_number_may_be_masked(value: Any) -> None:
    assert parse_callback(with_item("PhoneNumber", value)).phone_number == str(value)


@pytest.mark.parametrize("value", ["Zoë", "2547<script>", True, 1.5, ["254"], "2" * 21])
def test_a_phone_number_of_another_form_counts_as_absent(value: Any) -> None:
    assert parse_callback(with_item("PhoneNumber", value)).phone_number is None


@pytest.mark.parametrize("value", ["2024-07-21 12:53:12", "20240721125312", 20240721125312])
def test_a_date_may_be_written_in_several_ways(value: Any) -> None:
    assert parse_callback(with_item("TransactionDate", value)).transaction_date == str(value)


def test_items_are_read_by_name_and_may_lack_a_value() -> None:
    turned = copy.deepcopy(TRUE["CallbackMetadata"])
    turned["Item"].reverse()
    assert parse_callback(body(CallbackMetadata=turned)) == parse_callback(body())


@pytest.mark.parametrize("metadata", [None, {}, {"Item": []}, {"Item": [{"Name": "Amount"}]}])
def test_a_success_without_metadata_has_no_amount(metadata: Any) -> None:
    callback = parse_callback(body(CallbackMetadata=metadata))
    assert callback.is_success
    assert callback.amount is None


@pytest.mark.parametrize(
    "metadata", [[], "x", 1, {"Item": {}}, {"Item": None}, {"Item": [1]}, {"Item": [{"Value": 1}]}]
)
def test_metadata_of_another_form_is_no_callback(metadata: Any) -> None:
    refused(body(CallbackMetadata=metadata))


def test_unknown_keys_are_ignored_at_every_level() -> None:
    document = json.loads(body(TinyPesaID="x", Extra={"a": [1, 2.5, None]}))
    document["More"] = document["Body"]["More"] = 1
    assert parse_callback(json.dumps(document).encode()) == parse_callback(body())


@pytest.mark.parametrize("value", [None, "", 5, True, ["x"], "x" * 101, "ws CO", "ws_CO\n", "<i>", "wś", "a'b"])
def test_without_a_sound_checkout_request_id_it_is_no_callback(value: Any) -> None:
    assert "CheckoutRequestID" in refused(body(CheckoutRequestID=value))


def test_a_merchant_request_id_may_be_missing_but_not_odd() -> None:
    assert parse_callback(body(MerchantRequestID=None)).merchant_request_id == ""
    refused(body(MerchantRequestID="x" * 101))
    refused(body(MerchantRequestID=5))


def test_a_description_is_trimmed_to_its_column() -> None:
    assert parse_callback(body(ResultDesc="é" * 9000)).result_desc == "é" * 250
    assert parse_callback(body(ResultDesc=None)).result_desc == ""
    refused(body(ResultDesc={"a": 1}))


BRACKETS = b"[" * 30_000
UNREADABLE = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "form": b"a=1&b=2",
    "page": b"<html></html>",
    "truncated": body()[:-1],
    "trailing": body() + b"x",
    "byte order mark": b"\xef\xbb\xbf" + body(),
    "latin-1": body(ResultDesc="@").replace(b"@", b"\xe9"),
    "utf-16": body().decode().encode("utf-16"),
    "overlong": body(ResultDesc="@").replace(b"@", b"\xc0\x80"),
    "NaN": with_code("NaN"),
    "Infinity": with_code("-Infinity"),
    "1e400": body(Extra="@").replace(b'"@"', b"1e400"),
    "huge exponent": body(Extra="@").replace(b'"@"', b"1e-99999999999999999999"),
    "zero with a huge exponent": body(Extra="@").replace(b'"@"', b"0e99999999999999999999"),
    "long integer": body(Extra="@").replace(b'"@"', b"9" * 5000),
    "deep": body(Extra="@").replace(b'"@"', BRACKETS + b"]" * 30_000),
    "deep and open": BRACKETS,
    "deep in objects": b'{"a":' * 10_000,
    "nine levels": body(Extra="@").replace(b'"@"', b"[" * 6 + b"]" * 6),
    "many keys": body(Extra={str(number): 1 for number in range(65)}),
    "many elements": body(Extra=[0] * 257),
    "same key twice": body().replace(b'{"Merchant', b'{"ResultCode": 1032, "Merchant'),
    "same key twice in a corner": body(Extra="@").replace(b'"@"', b'{"a": 1, "a": 1}'),
    "NUL": body(Extra="a\x00b"),
    "NUL in a key": body(**{"a\x00b": 1}),
    "lone surrogate": body(Extra=["\ud800"]),
    "raw control character": body(ResultDesc="@").replace(b"@", b"\n"),
    "too large": body(Extra="x" * 65_536),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_bytes_are_no_callback(content: bytes) -> None:
    assert refused(content)


def test_brackets_inside_strings_are_text() -> None:
    assert parse_callback(body(ResultDesc='[[[[[[[[[["\\[[[[{{{{')).result_desc.startswith("[[[")


def test_eight_levels_are_read() -> None:
    assert parse_callback(body(Extra="@").replace(b'"@"', b"[" * 5 + b"]" * 5)).is_success


@pytest.mark.parametrize("content", [b'"' + b'\\"' * 30_000, b'"' * 60_000, b'\\"' * 30_000, b'{"\\' * 20_000])
def test_unfinished_strings_cost_no_more_than_reading_them(content: bytes) -> None:
    """Quadratic work would take minutes of processor time here; the bound is far from both."""
    started = time.process_time()
    refused(content)
    assert time.process_time() - started < 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["0", "Amount", "ws_CO_1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
ITEM = st.fixed_dictionaries(
    {}, optional={"Name": st.sampled_from(["Amount", "MpesaReceiptNumber", "PhoneNumber"]) | JSON, "Value": JSON}
)
CALLBACK = st.fixed_dictionaries(
    {},
    optional={
        "MerchantRequestID": st.just("1-2-3") | JSON,
        "CheckoutRequestID": st.just("ws_CO_1") | JSON,
        "ResultCode": st.sampled_from([0, "0", 1032]) | JSON,
        "ResultDesc": JSON,
        "CallbackMetadata": st.fixed_dictionaries({"Item": st.lists(ITEM, max_size=6)}) | JSON,
    },
)


def check(content: bytes) -> None:
    """Hold what the models rely on for every callback that is read at all."""
    try:
        callback = parse_callback(content)
    except NotACallback:
        return
    assert isinstance(callback, StkCallback)
    assert 1 <= len(callback.checkout_request_id) <= 100
    assert 1 <= len(callback.result_code) <= 40
    assert len(callback.result_desc) <= 250
    assert callback.amount is None or callback.amount.is_finite()
    texts = [value for value in vars(callback).values() if isinstance(value, str)]
    assert all("\x00" not in text and text.encode() is not None for text in texts)


@given(st.binary(max_size=400))
@example(b"\xff")
def test_any_bytes_are_a_callback_or_are_not(content: bytes) -> None:
    check(content)


@given(JSON)
def test_any_json_is_a_callback_or_is_not(value: Any) -> None:
    check(json.dumps(value).encode())


@given(CALLBACK)
def test_anything_like_a_callback_is_one_or_is_not(callback: dict[str, Any]) -> None:
    check(json.dumps({"Body": {"stkCallback": callback}}).encode())


@given(st.data())
def test_a_true_callback_with_bytes_changed_is_one_or_is_not(data: st.DataObject) -> None:
    content = bytearray(body())
    for _change in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(content))
