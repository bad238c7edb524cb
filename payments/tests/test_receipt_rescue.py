"""A customer sends the SMS or its code: it helps its owner, and tells a stranger nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payments.c2b import asking, rescue
from payments.c2b.rescue import code_in
from payments.daraja.later import Result, parse_result
from payments.models import Confirmation, Conversation, ReceiptClaim, Transaction
from payments.tests.by_hand import announce, hear, new_receipt, pay_by_hand
from shop.limits import TooOften
from shop.models import Order
from tests.factories import make_order, make_transaction
from tests.faults.clock import let_pass

pytestmark = pytest.mark.django_db

SMS = (
    "UKP3X7Q2ZD Confirmed. Ksh1,500.00 sent to DUKA PAPO for account 7QK3M9TX on 25/11/26 at 10:45 PM. "
    "New M-PESA balance is Ksh298,500.00. Transaction cost, Ksh0.00."
)


def claim(order: Order, code: str, *, address: str = "10.1.2.3") -> ReceiptClaim:
    rescue.claim(order, code, address=address)
    rescue.look_at_claims()
    return ReceiptClaim.objects.get(order=order, code=code)


def paid(order: Order) -> bool:
    order.refresh_from_db()
    return order.status == "PAID"


@pytest.mark.parametrize("typed", [SMS, "UKP3X7Q2ZD", " ukp3x7q2zd ", "code: UKP3X7Q2ZD.", f"Hi!\n{SMS}"])
def test_the_code_is_found_in_whatever_was_pasted(typed: str) -> None:
    assert code_in(typed) == "UKP3X7Q2ZD"


@pytest.mark.parametrize(
    "typed", ["UKPABCXYZQ Confirmed. Ksh5.00 paid", "ukpabcxyzq", "Hi!\nUKPABCXYZQ Imethibitishwa."]
)
def test_a_code_of_letters_only_is_found_where_an_sms_has_it(typed: str) -> None:
    assert code_in(typed) == "UKPABCXYZQ"


@pytest.mark.parametrize(
    "typed", ["", "Confirmed.", "0712345678", "TRANSACTION", "UKP3X7Q2Z", "I paid yesterdayy, look", "x" * 100_000]
)
def test_what_is_no_code_is_none(typed: str) -> None:
    assert code_in(typed) == ""


def test_money_for_an_unknown_account_is_found_by_code_amount_and_phone() -> None:
    order, receipt = make_order(), new_receipt()
    make_transaction(order=order, phone_number="254712345126")
    announce("WRONG ACCOUNT", 1500, receipt=receipt, MSISDN="2547 ***** 126")
    hear(receipt, 1500)
    assert claim(order, receipt).state == "found"
    assert paid(order)


def test_a_code_that_nobody_told_us_of_is_asked_about() -> None:
    order, receipt = make_order(), new_receipt()
    make_transaction(order=order, phone_number="254712345126")
    assert claim(order, receipt).state == "looking"
    hear(receipt, 1500, msisdn="254712345126")
    assert ReceiptClaim.objects.get().state == "found"
    assert paid(order)


@pytest.mark.parametrize(
    ("phone", "amount"), [("254712345999", 1500), ("254712345126", 1499), ("254712345126", 1501), ("", 1500)]
)
def test_a_code_whose_amount_or_phone_does_not_fit_is_for_staff(phone: str, amount: int) -> None:
    order, receipt = make_order(), new_receipt()
    make_transaction(order=order, phone_number="254712345126")
    claim(order, receipt)
    hear(receipt, amount, msisdn=phone)
    assert ReceiptClaim.objects.get().state == "for_staff"
    assert Confirmation.objects.get().state == "unmatched"
    assert not paid(order)


def test_a_strangers_code_and_a_used_one_bring_nothing() -> None:
    thief, owner = make_order(), make_order()
    used = pay_by_hand(owner)
    assert claim(thief, used.trans_id).state == "for_staff"
    announced = announce(make_order().account_number, 1500)  # not confirmed yet, and for another order
    claim(thief, announced.trans_id)
    hear(announced.trans_id, 1500)
    assert set(ReceiptClaim.objects.values_list("state", flat=True)) == {"for_staff"}
    assert not paid(thief)
    assert Transaction.objects.count() == 2


def test_a_code_that_mpesa_does_not_know_is_for_staff_after_it_said_so_twice() -> None:
    order = make_order()
    claim(order, "UKP0X00000")
    hear("UKP0X00000")
    assert ReceiptClaim.objects.get().state == "looking"
    let_pass(31)
    hear("UKP0X00000")
    assert ReceiptClaim.objects.get().state == "for_staff"


def test_a_code_is_asked_about_once_for_all_who_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(asking.asking, "ask_transaction_status", lambda **about: asked.append(about["receipt"]))
    for order in (make_order(), make_order()):
        claim(order, "UKP0X00001")
    announce(make_order().account_number, 1500, receipt="UKP0X00001")
    assert (asking.look(), asking.look(), asked) == (1, 0, ["UKP0X00001"])


def test_five_tries_for_an_order_and_twenty_for_an_address() -> None:
    order = make_order()
    for number in range(5):
        claim(order, f"UKP0X0010{number}", address=f"10.0.0.{number}")
    with pytest.raises(TooOften):
        claim(order, "UKP0X00106", address="10.0.0.9")
    for number in range(20):
        claim(make_order(), f"UKP0X002{number:02d}")
    with pytest.raises(TooOften):
        claim(make_order(), "UKP0X00300")


def test_nothing_is_asked_without_an_operator(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MPESA_INITIATOR_NAME = ""
    monkeypatch.setattr(asking.asking, "ask_transaction_status", lambda **about: pytest.fail("asked"))
    assert claim(make_order(), "UKP0X00400").state == "for_staff"
    assert announce(make_order().account_number, 1500).state == "unmatched"
    assert asking.look() == 0


# What Transaction Status says -----------------------------------------------------------------------------------

US, CUSTOMER = "174379 - Duka", "254712345126 - Jane"


def answer(code: object = 0, desc: str = "", **parameters: Any) -> Result:
    listed = [{"Key": key, "Value": value} for key, value in parameters.items()]
    told = {"ResultCode": code, "ResultDesc": desc, "ResultParameters": {"ResultParameter": listed}}
    return parse_result(json.dumps({"Result": told}).encode())


def completed(receipt: str, **changes: Any) -> Result:
    told = {"TransactionStatus": "Completed", "Amount": 1500, "ReceiptNo": receipt}
    return answer(**{**told, "DebitPartyName": CUSTOMER, "CreditPartyName": US, **changes})


def heard(receipt: str, result: Result | None) -> str:
    return asking.heard(Conversation(subject=receipt), result)


def test_a_completed_payment_to_us_confirms() -> None:
    order, receipt = make_order(), new_receipt()
    announce(order.account_number, 1500, receipt=receipt)
    assert heard(receipt, completed(receipt)) == "completed"
    assert paid(order)


def test_money_that_the_shop_sent_out_pays_nothing() -> None:
    """A refund has a receipt too, known to whoever got it, and the same amount."""
    order, receipt = make_order(), new_receipt()
    make_transaction(order=order, phone_number="254712345126")
    announce(order.account_number, 1500, receipt=receipt)
    claim(order, receipt)
    for parties in ({"DebitPartyName": US, "CreditPartyName": CUSTOMER}, {"DebitPartyName": US, "CreditPartyName": ""}):
        assert heard(receipt, completed(receipt, **parties)) == "denied"
    assert not paid(order)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (answer("R000002", "The OriginalTransactionID is invalid."), "denied"),
        (answer(2001, "The initiator information is invalid."), "nothing is known yet"),
        (answer(8006, "The security credential is locked."), "nothing is known yet"),
        (completed("UKP0X00700", TransactionStatus="Declined"), "denied"),
        (completed("UKP0X00700", TransactionStatus="Initiated"), "nothing is known yet"),
        (completed("UKP0X00999"), "nothing is known yet"),
        (None, "nothing is known yet"),
    ],
)
def test_only_what_mpesa_says_of_this_receipt_counts(result: Result | None, outcome: str) -> None:
    order = make_order()
    announce(order.account_number, 1500, receipt="UKP0X00700")
    assert heard("UKP0X00700", result) == outcome
    assert not paid(order)
