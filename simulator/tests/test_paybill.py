"""A phone pays the PayBill by hand: money, SMS and confirmation, with the same delivery faults as a callback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.tests.conftest import PHONE, Control, Daraja, Shop, eventually


@pytest.fixture
def registered(daraja: Daraja, shop: Shop) -> dict[str, str]:
    urls = {"ConfirmationURL": f"{shop.url}confirmation", "ValidationURL": f"{shop.url}validation"}
    assert register(daraja, **urls).status_code == 200
    return urls


def register(daraja: Daraja, **changes: Any) -> Any:
    urls = dict.fromkeys(("ConfirmationURL", "ValidationURL"), "https://duka.example/c2b/0f/")
    short_code = daraja.settings.MPESA_SHORTCODE
    return daraja.post("c2b/v2/registerurl", {"ShortCode": short_code, "ResponseType": "Completed", **urls, **changes})


def pay(control: Control, **fields: Any) -> Any:
    return control.post(f"phones/{PHONE}/pay/", {"account": "7QK3M9TX", "amount": 600, **fields})


def confirmations(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(body) for path, _headers, body, _at in shop.received if path.endswith("confirmation")]


def test_the_answer_to_a_registration_is_misspelled_as_the_true_one(daraja: Daraja) -> None:
    assert set(register(daraja).json()) == {"OriginatorCoversationID", "ResponseCode", "ResponseDescription"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ShortCode", "600000"),
        ("ResponseType", "completed"),
        ("ConfirmationURL", "https://duka.example/mpesa/"),
        ("ValidationURL", "https://duka.example/cmd/"),
        ("ConfirmationURL", "nowhere"),
    ],
)
def test_a_wrong_field_of_a_registration_is_named(daraja: Daraja, name: str, value: str) -> None:
    answer = register(daraja, **{name: value})
    assert (answer.status_code, answer.json()["errorMessage"]) == (400, f"Bad Request - Invalid {name}")


def test_money_sms_and_confirmation(registered: object, control: Control, shop: Shop) -> None:
    receipt = pay(control)["receipt"]
    eventually(lambda: confirmations(shop))
    told = confirmations(shop)[0]
    assert (told["TransID"], told["TransAmount"], told["BillRefNumber"]) == (receipt, "600.00", "7QK3M9TX")
    assert told["MSISDN"] == "2547 ***** 001"
    assert all(isinstance(value, str) for value in told.values())
    phone = control.get(f"phones/{PHONE}/")
    assert phone["balance"] == 299_400
    assert phone["messages"][0].startswith(f"{receipt} Confirmed. Ksh600.00 sent to ")
    assert control.get("ledger/?account_reference=7QK3M9TX")["amount"] == 600


@pytest.mark.parametrize(("delivery", "count"), [("lost", 0), ("twice", 2), ("late", 1), ("malformed", 1)])
def test_the_network_loses_repeats_and_delays(
    registered: object, control: Control, shop: Shop, delivery: str, count: int
) -> None:
    pay(control, delivery=delivery)
    pay(control, account="LAST")
    eventually(lambda: len(shop.received) == count + 1)


def test_the_shop_is_asked_first_where_validation_is_on(registered: object, control: Control, shop: Shop) -> None:
    control.post("c2b/", {"validates": True})
    assert pay(control)["receipt"]  # the shop answers nothing that anybody could read: ResponseType says Completed
    assert shop.received[0][0].endswith("validation")


def test_too_little_money_and_a_wrong_number_pay_nothing(registered: object, control: Control, shop: Shop) -> None:
    assert "does not exist" in pay(control, business="999999")["problem"]
    control.post(f"phones/{PHONE}/", {"balance": 599})
    assert "enough money" in pay(control)["problem"]
    assert control.get("ledger/")["count"] == 0


@pytest.mark.parametrize("copies", ["after", "before"])
def test_a_payment_by_prompt_is_confirmed_too_when_the_simulator_is_told_so(
    registered: object, daraja: Daraja, control: Control, shop: Shop, copies: str
) -> None:
    control.post("c2b/", {"copies": copies})
    daraja.accepted()
    control.answer(pin="1234")
    eventually(lambda: len(shop.received) == 2)
    (paid,) = control.get("ledger/")["payments"]
    assert confirmations(shop)[0]["TransID"] == paid["receipt"]
    assert confirmations(shop)[0]["BillRefNumber"] == paid["account_reference"]


def test_the_handset_pays_by_hand_and_shows_the_sms(registered: object, control: Control, client: Any) -> None:
    fields = {"business": "174379", "account": "7QK3M9TX", "amount": "600", "pin": "1234"}
    page = client.post(f"/simulator/phone/{PHONE}/pay/", fields, follow=True).content.decode()
    assert "Confirmed. Ksh600.00" in page
    refused = client.post(f"/simulator/phone/{PHONE}/pay/", {**fields, "pin": "0000"}, follow=True).content.decode()
    assert "PIN was not accepted" in refused
    assert control.get("ledger/")["count"] == 1


def test_the_phones_page_tells_of_it_and_of_its_confirmation(
    client: Any, registered: object, control: Control, shop: Shop
) -> None:
    receipt = pay(control)["receipt"]
    eventually(lambda: confirmations(shop))
    live = f"/simulator/phone/{PHONE}/live/"
    eventually(lambda: "the shop answered 200" in client.get(live).content.decode())
    page = client.get(live).content.decode()
    assert f"Paid {receipt}" in page
    assert "Ksh600.00 by hand for 7QK3M9TX" in page
    assert "Confirmation at" in page
    pay(control, delivery="lost")
    assert "No confirmation goes to the shop." in client.get(live).content.decode()
