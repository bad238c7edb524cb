"""The push: every field is checked, the first bad one is named, and nobody is prompted for it."""

from __future__ import annotations

import base64
import re

import pytest

SHORT_CODES = ["", "1234", "12345678", "17437a", None, True, 174379.0, "１７４３７９", []]
PHONES = ["0712345678", "+254712345678", "254812345678", "25471234567", "2547123456789", "", None, True, {}]
AMOUNTS = [0, -1, 250_001, 1.0, "1.00", "01", "", None, True, "1e3", "٣", 10**30]
URLS = ["", None, "shop.example/x", "ftp://shop.example/", "https://shop.example/a b", "https://shop.example/<x>"]
MORE_URLS = [
    "https://Shop.example/",
    "https://",
    "https://a@shop.example/",
    "https://shop.example:99999/",
    "http://[x/",
]
REFERENCES = ["", "1234567890123", "ORDER 1", "ORDER#1", None, "é"]
DESCRIPTIONS = ["", None, "12345678901234", "Order #1", "a\nb"]
BAD_FIELDS = [
    *[("BusinessShortCode", value, "BusinessShortCode") for value in SHORT_CODES],
    *[("Password", value, "Password") for value in ("", None, "not base64!", "ä", 5, "====")],
    *[("Timestamp", value, "Timestamp") for value in ("", None, "20261323090000", "2026112309000", "20200101000000")],
    *[("TransactionType", value, "TransactionType") for value in ("", None, "CustomerBuyGoodsOnline", [], {})],
    *[("Amount", value, "Amount") for value in AMOUNTS],
    *[("PartyA", value, "PartyA") for value in PHONES],
    *[("PartyB", value, "PartyB") for value in ("600000", "", None)],
    *[("PhoneNumber", value, "PhoneNumber") for value in PHONES],
    *[("CallBackURL", value, "CallBackURL") for value in [*URLS, *MORE_URLS, "https://shop.example/" + "x" * 1000]],
    *[("AccountReference", value, "AccountReference") for value in REFERENCES],
    *[("TransactionDesc", value, "Remarks") for value in DESCRIPTIONS],
]


@pytest.mark.parametrize(("name", "value", "blamed"), BAD_FIELDS)
def test_a_bad_field_is_named_and_nobody_is_prompted(daraja, control, name, value, blamed):
    answer = daraja.push(**{name: value})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {blamed}"
    assert control.get("")["pushes_accepted"] == 0


@pytest.mark.parametrize("name", [name for name, *_ in dict.fromkeys((row[0], row[2]) for row in BAD_FIELDS)])
def test_a_missing_field_is_named(daraja, name):
    fields = daraja.push_fields()
    del fields[name]
    answer = daraja.post("stkpush/v1/processrequest", fields)
    assert answer.json()["errorMessage"].endswith("Remarks" if name == "TransactionDesc" else name)


@pytest.mark.parametrize("amount", [1, "1", 250_000, "250000"])
def test_whole_shillings_are_accepted_as_number_and_as_string(daraja, control, amount):
    daraja.accepted(Amount=amount)
    assert control.prompt()["amount"] == int(amount)


def test_phones_and_short_codes_are_accepted_as_numbers(daraja, settings):
    short_code = int(settings.MPESA_SHORTCODE)
    daraja.accepted(BusinessShortCode=short_code, PartyB=short_code, PartyA=254722000001, PhoneNumber=254722000001)


@pytest.mark.parametrize("spoil", ["174379wrong20261123090000", "x"])
def test_a_password_of_another_passkey_means_wrong_credentials(daraja, spoil):
    answer = daraja.push(Password=base64.b64encode(spoil.encode()).decode())
    assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.001.1001")
    assert answer.json()["errorMessage"] == "Wrong credentials"


def test_a_password_of_another_moment_means_wrong_credentials(daraja):
    assert daraja.push(Password=daraja.password("20200101000000")).json()["errorMessage"] == "Wrong credentials"


def test_the_shops_own_short_code_may_have_any_length(daraja, settings):
    settings.MPESA_SHORTCODE = "1234"
    daraja.accepted()


def test_a_strangers_short_code_is_no_merchant(daraja):
    answer = daraja.push(BusinessShortCode="600000")
    assert (answer.status_code, answer.json()["errorMessage"]) == (500, "Merchant does not exist")


def test_a_till_is_paid_as_a_till(daraja, control, settings):
    settings.MPESA_TILL_NUMBER = "5123456"
    assert daraja.push().json()["errorMessage"] == "Bad Request - Invalid TransactionType"
    till = {"TransactionType": "CustomerBuyGoodsOnline", "PartyB": "5123456"}
    assert daraja.push(**{**till, "PartyB": settings.MPESA_SHORTCODE}).json()["errorMessage"].endswith("PartyB")
    daraja.accepted(**till)
    assert control.prompt()["party_b"] == "5123456"


@pytest.mark.parametrize(
    "body", [b" ", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'{"Amount": ' + b"9" * 5000 + b"}", b" " * 70_000]
)
def test_a_body_that_is_no_json_object_is_an_invalid_payload(daraja, body):
    answer = daraja.post("stkpush/v1/processrequest", body)
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.05")


def test_the_wrong_content_type_is_blamed_on_the_short_code(daraja):
    daraja.accepted()
    headers = {"Authorization": f"Bearer {daraja.token}"}
    answer = daraja.client.post("/simulator/mpesa/stkpush/v1/processrequest", daraja.push_fields(), headers=headers)
    assert answer.json()["errorMessage"] == "Bad Request - Invalid BusinessShortCode"


def test_an_accepted_push_answers_with_strings_and_ids_of_the_newer_form(daraja):
    body = daraja.push().json()
    assert body["ResponseCode"] == "0"
    assert all(isinstance(value, str) for value in body.values())
    assert re.fullmatch(r"[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\d{7}", body["MerchantRequestID"])
    assert re.fullmatch(r"ws_CO_\d{17}722000001", body["CheckoutRequestID"])


def test_a_second_prompt_is_accepted_while_the_first_is_open(daraja, control):
    assert daraja.accepted() != daraja.accepted()
    assert len(control.get("phones/254722000001/")["prompts"]) == 2


def test_a_refused_push_is_kept_with_its_reason(daraja, control):
    daraja.push(Amount=0)
    refused = control.get("phones/254722000001/")["refused"]
    assert refused == [{"status": 400, "message": "Bad Request - Invalid Amount"}]


def test_a_lone_surrogate_in_a_refused_push_does_no_harm(daraja):
    assert daraja.push(PhoneNumber="\ud800").status_code == 400
