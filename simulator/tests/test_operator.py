"""What the shop's operator asks for: checked like Daraja, carried out once, told as the plan says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from simulator.tests.conftest import PHONE, Control, Daraja, Shop, eventually

REVERSAL, STATUS = "reversal/v1/request", "transactionstatus/v1/query"


@pytest.fixture(autouse=True)
def _quick_results(settings: Any) -> None:
    settings.SIMULATOR_RESULT_SECONDS = 0.02


def credential(daraja: Daraja, password: str) -> str:
    pem = daraja.client.get("/simulator/certificate.cer").content
    encrypted = x509.load_pem_x509_certificate(pem).public_key().encrypt(password.encode(), PKCS1v15())
    return base64.b64encode(encrypted).decode()


def common(daraja: Daraja, command: str, *, password: str | None = None) -> dict[str, Any]:
    return {
        "Initiator": daraja.settings.MPESA_INITIATOR_NAME,
        "SecurityCredential": credential(daraja, password or daraja.settings.MPESA_INITIATOR_PASSWORD),
        "CommandID": command,
        "ResultURL": daraja.callback_url + "result",
        "QueueTimeOutURL": daraja.callback_url + "timeout",
        "Remarks": "Paid twice",
    }


def reverse(daraja: Daraja, receipt: str, amount: int = 1500, **changes: Any) -> Any:
    fields = {
        **common(daraja, "TransactionReversal", password=changes.pop("password", None)),
        "TransactionID": receipt,
        "Amount": amount,
        "ReceiverParty": daraja.settings.MPESA_SHORTCODE,
        "RecieverIdentifierType": "11",
        **changes,
    }
    return daraja.post(REVERSAL, fields)


def ask(daraja: Daraja, **about: str) -> Any:
    party = {"PartyA": daraja.settings.MPESA_SHORTCODE, "IdentifierType": "4"}
    return daraja.post(STATUS, {**common(daraja, "TransactionStatusQuery"), **party, **about})


@pytest.fixture
def receipt(daraja: Daraja, control: Control, shop: Shop) -> str:
    """The receipt of KES 1,500 that the phone has paid."""
    daraja.accepted()
    control.answer(pin="1234")
    shop.wait_for(1)
    shop.received.clear()
    return str(control.prompt()["receipt"])


def results(shop: Shop, count: int = 1) -> list[dict[str, Any]]:
    eventually(lambda: len(shop.received) >= count)
    return [json.loads(body)["Result"] for _path, _headers, body, _at in shop.received]


def test_a_reversal_sends_the_money_back_and_says_so(
    daraja: Daraja, control: Control, shop: Shop, receipt: str
) -> None:
    before = control.get(f"phones/{PHONE}/")["balance"]
    told = reverse(daraja, receipt).json()
    assert told["ResponseCode"] == "0"
    [result] = results(shop)
    assert (result["ResultCode"], result["ConversationID"]) == (0, told["ConversationID"])
    assert control.get(f"phones/{PHONE}/")["balance"] == before + 1500
    back = control.get(f"reversals/?original_receipt={receipt}")
    assert (back["count"], back["amount"], back["reversals"][0]["receipt"]) == (1, 1500, result["TransactionID"])


def test_money_goes_back_once(daraja: Daraja, control: Control, shop: Shop, receipt: str) -> None:
    reverse(daraja, receipt)
    reverse(daraja, receipt)
    assert sorted(str(result["ResultCode"]) for result in results(shop, 2)) == ["0", "R000001"]
    assert control.get("reversals/")["count"] == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"password": "wrong"}, 2001), ({"Initiator": "nobody"}, 2001), ({"amount": 1501}, 1)],
)
def test_what_is_not_right_fails_in_the_result(
    daraja: Daraja, control: Control, shop: Shop, receipt: str, changes: dict[str, Any], code: int
) -> None:
    assert reverse(daraja, receipt, **changes).status_code == 200
    assert results(shop)[0]["ResultCode"] == code
    assert control.get("reversals/")["count"] == 0


def test_an_unknown_receipt_is_named(daraja: Daraja, shop: Shop) -> None:
    reverse(daraja, "UKP0000000")
    assert results(shop)[0]["ResultCode"] == "R000002"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Initiator", ""),
        ("SecurityCredential", 5),
        ("CommandID", "BusinessPayment"),
        ("TransactionID", "short"),
        ("Amount", 0),
        ("ReceiverParty", "600000"),
        ("RecieverIdentifierType", "4"),
        ("ResultURL", "shop.example"),
        ("QueueTimeOutURL", None),
        ("Remarks", "x"),
    ],
)
def test_a_bad_field_is_named(daraja: Daraja, receipt: str, field: str, value: object) -> None:
    refused = reverse(daraja, receipt, **{field: value})
    assert (refused.status_code, refused.json()["errorMessage"]) == (400, f"Bad Request - Invalid {field}")


@pytest.mark.parametrize("answer", ["lost", "gateway"])
def test_a_lost_answer_reverses_all_the_same(
    daraja: Daraja, control: Control, shop: Shop, receipt: str, answer: str
) -> None:
    control.post("operator/reversal/", {"answer": answer})
    reverse(daraja, receipt)
    assert results(shop)[0]["ResultCode"] == 0
    assert control.get("reversals/")["count"] == 1


@pytest.mark.parametrize("answer", ["internal_error", "system_busy", "throttled", "firewall"])
def test_a_refusal_reverses_nothing(daraja: Daraja, control: Control, receipt: str, answer: str) -> None:
    control.post("operator/reversal/", {"answer": answer})
    assert reverse(daraja, receipt).status_code >= 400
    assert control.get("reversals/")["count"] == 0


def test_the_result_may_be_faster_than_the_answer(daraja: Daraja, control: Control, shop: Shop, receipt: str) -> None:
    control.post("operator/reversal/", {"delivery": "before_answer"})
    reverse(daraja, receipt)
    assert len(shop.received) == 1


def test_deliveries_as_planned(daraja: Daraja, control: Control, shop: Shop, receipt: str) -> None:
    control.post("operator/reversal/", {"delivery": "queue_timeout"})
    reverse(daraja, receipt)
    results(shop)
    assert shop.received[0][0].endswith("timeout")
    control.post("operator/transaction_status/", {"delivery": "twice"})
    ask(daraja, TransactionID=receipt)
    one, two = results(shop, 3)[1:]
    assert one == two


def test_a_status_names_one_party_twice_and_a_reason_without_value(daraja: Daraja, shop: Shop, receipt: str) -> None:
    ask(daraja, TransactionID=receipt)
    [result] = results(shop)
    listed = result["ResultParameters"]["ResultParameter"]
    assert [item["Key"] for item in listed].count("DebitPartyName") == 2
    assert {"Key": "TransactionReason"} in listed
    assert {"Key": "ReceiptNo", "Value": receipt} in listed


def test_a_reversal_is_found_by_its_conversation(daraja: Daraja, control: Control, shop: Shop, receipt: str) -> None:
    control.post("operator/reversal/", {"delivery": "lost"})
    about = reverse(daraja, receipt).json()["OriginatorConversationID"]
    ask(daraja, OriginalConversationID=about)
    listed = {item["Key"]: item.get("Value") for item in results(shop)[0]["ResultParameters"]["ResultParameter"]}
    assert listed["ReceiptNo"] == control.get("reversals/")["reversals"][0]["receipt"]


def test_pull_lists_payments_page_by_page(daraja: Daraja, receipt: str, settings: Any) -> None:
    window = {"ShortCode": settings.MPESA_SHORTCODE, "StartDate": "2020-01-01 0:00:00", "EndDate": "2099-01-01 0:00:00"}
    headers = {"Authorization": f"Bearer {daraja.token}"}

    def page(offset: str) -> Any:
        path, body = "/simulator/pulltransactions/v1/query", json.dumps({**window, "OffSetValue": offset})
        return daraja.client.post(path, body, content_type="application/json", headers=headers).json()

    assert [row["transactionId"] for row in page("0")["Response"][0]] == [receipt]
    assert (page("1")["ResponseCode"], page("1")["Response"]) == ("1001", [[]])


def test_the_control_api_refuses_nonsense(control: Control) -> None:
    for data in ({"answer": "maybe"}, {"delivery": 5}, {"result": 5}, {"speed": 1}):
        control.post("operator/reversal/", data, status=400)
    control.post("operator/withdrawal/", {}, status=404)
