"""What the operator's requests send, and what each kind of answer means for the money."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import NameOID

from payments.daraja import operator
from payments.daraja.client import DarajaRefused, DarajaThrottled, DarajaUnreachable, OutcomeUnknown
from payments.daraja.operator import Acknowledged
from payments.tests.fake_daraja import ACKNOWLEDGED, PULL, REVERSAL, SHORTCODE, STATUS, FakeDaraja, running_daraja

pytestmark = pytest.mark.django_db

URLS = {"result_url": "https://shop.example/r/", "timeout_url": "https://shop.example/t/"}


@pytest.fixture(scope="module")
def key_and_certificate() -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "M-PESA")]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return key, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture
def daraja(settings: Any, tmp_path: Path, key_and_certificate: tuple[Any, str]) -> Iterator[FakeDaraja]:
    path = tmp_path / "production.cer"
    path.write_text(key_and_certificate[1])
    settings.MPESA_CERTIFICATE_FILE = str(path)
    settings.MPESA_INITIATOR_NAME, settings.MPESA_INITIATOR_PASSWORD = "operator", "Sh0p!pass"
    with running_daraja(settings) as server:
        yield server


def reverse() -> Acknowledged:
    return operator.reversal(receipt="UKP7R2X0QD", amount=1500, remarks="Paid twice", **URLS)


def test_a_reversal_sends_what_the_portal_names(daraja: FakeDaraja, key_and_certificate: tuple[Any, str]) -> None:
    told = reverse()
    assert told == Acknowledged(ACKNOWLEDGED["OriginatorConversationID"], ACKNOWLEDGED["ConversationID"])
    sent = dict(daraja.last(REVERSAL).body)
    encrypted = base64.b64decode(sent.pop("SecurityCredential"), validate=True)
    assert key_and_certificate[0].decrypt(encrypted, PKCS1v15()) == b"Sh0p!pass"
    assert sent == {
        "Initiator": "operator",
        "CommandID": "TransactionReversal",
        "TransactionID": "UKP7R2X0QD",
        "Amount": 1500,
        "ReceiverParty": SHORTCODE,
        "RecieverIdentifierType": "11",
        "ResultURL": URLS["result_url"],
        "QueueTimeOutURL": URLS["timeout_url"],
        "Remarks": "Paid twice",
        "Occasion": "",
    }


def test_a_question_names_a_receipt_or_a_conversation(daraja: FakeDaraja) -> None:
    operator.transaction_status(receipt="UKP7R2X0QD", **URLS)
    assert daraja.last(STATUS).body["TransactionID"] == "UKP7R2X0QD"
    operator.transaction_status(originator_conversation_id="29115-1-1", **URLS)
    sent = daraja.last(STATUS).body
    assert (sent["OriginalConversationID"], sent["PartyA"], sent["IdentifierType"]) == ("29115-1-1", SHORTCODE, "4")
    assert "TransactionID" not in sent


def test_a_certificate_may_be_binary(daraja: FakeDaraja, settings: Any, key_and_certificate: tuple[Any, str]) -> None:
    certificate = load_pem_x509_certificate(key_and_certificate[1].encode())
    Path(settings.MPESA_CERTIFICATE_FILE).write_bytes(certificate.public_bytes(Encoding.DER))
    reverse()
    assert daraja.counts[REVERSAL] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MPESA_INITIATOR_NAME", ""),
        ("MPESA_INITIATOR_PASSWORD", ""),
        ("MPESA_CERTIFICATE_FILE", "/nowhere/at/all.cer"),
        ("MPESA_CERTIFICATE_FILE", __file__),
    ],
)
def test_without_an_operator_nothing_is_sent(daraja: FakeDaraja, settings: Any, name: str, value: str) -> None:
    setattr(settings, name, value)
    with pytest.raises(DarajaRefused, match="Not sent"):
        reverse()
    assert daraja.counts[REVERSAL] == 0


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"errorCode": "400.002.02", "errorMessage": "Bad Request - Invalid Amount"}, DarajaRefused),
        (429, b"", DarajaThrottled),
        (500, {"errorCode": "500.003.02", "errorMessage": "System is busy."}, DarajaThrottled),
        (500, {"errorCode": "500.003.1001", "errorMessage": "Internal Server Error"}, OutcomeUnknown),
        (403, b"<html>Request Rejected</html>", OutcomeUnknown),
        (200, b"", OutcomeUnknown),
        (200, {"ResponseCode": "1"}, OutcomeUnknown),
        (504, ACKNOWLEDGED, OutcomeUnknown),
    ],
)
def test_what_an_answer_means_for_the_money(daraja: FakeDaraja, status: int, body: Any, error: type) -> None:
    daraja.say(REVERSAL, status, body)
    with pytest.raises(error) as raised:
        reverse()
    assert type(raised.value) is error
    assert daraja.counts[REVERSAL] == 1


def test_a_lost_answer_is_unknown_and_never_sent_again(daraja: FakeDaraja) -> None:
    daraja.answers[REVERSAL] = lambda handler: handler.connection.close()
    with pytest.raises(OutcomeUnknown):
        reverse()
    assert daraja.counts[REVERSAL] == 1


def test_nothing_goes_out_to_a_daraja_that_is_away(daraja: FakeDaraja, settings: Any) -> None:
    settings.DARAJA_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(DarajaUnreachable):
        reverse()


def pull() -> list[operator.PulledRow]:
    start = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
    return operator.pull_transactions(start=start, end=datetime(2026, 11, 25, 21, 0, tzinfo=UTC), offset=100)


def test_pull_asks_in_nairobis_time_and_reads_rows(daraja: FakeDaraja) -> None:
    row = {
        "transactionId": "UKP7R2X0QD",
        "trxDate": "2026-11-25T10:13:00Z",
        "msisdn": "254722***001",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": "7QK3M9TXAB34",
        "amount": "1500.00",
    }
    daraja.say(PULL, 200, {"ResponseRefID": "1", "ResponseCode": "1000", "Response": [[row]]})
    [found] = pull()
    assert (found.receipt, found.amount, found.account_reference) == ("UKP7R2X0QD", 1500, "7QK3M9TXAB34")
    assert found.completed_at == datetime(2026, 11, 25, 7, 13, tzinfo=UTC)
    assert daraja.last(PULL).body == {
        "ShortCode": SHORTCODE,
        "StartDate": "2026-11-25 00:00:00",
        "EndDate": "2026-11-26 00:00:00",
        "OffSetValue": "100",
    }


def test_an_empty_list_is_empty(daraja: FakeDaraja) -> None:
    assert pull() == []


@pytest.mark.parametrize(
    "body",
    [
        {"ResponseCode": "1000", "Response": [[{"transactionId": "UKP7R2X0QD"}]]},
        {"ResponseCode": "1000", "Response": ["row"]},
        {"ResponseCode": "500"},
        {},
        b"<html>",
    ],
)
def test_a_list_with_holes_is_no_list(daraja: FakeDaraja, body: Any) -> None:
    daraja.say(PULL, 200, body)
    with pytest.raises(OutcomeUnknown):
        pull()
