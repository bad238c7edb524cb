"""The ledger tells what each phone really paid, whatever the shop was told."""

from __future__ import annotations

import threading

import pytest

from simulator import record, settling
from simulator.scenarios import Outcome
from simulator.tests.conftest import PHONE, Control, Daraja


def test_a_payment_is_entered_once_with_its_facts(daraja, control):
    checkout_request_id = daraja.accepted(AccountReference="AB12CD34")
    control.answer(pin="1234")
    (payment,) = control.get(f"ledger/?phone={PHONE}")["payments"]
    assert payment["checkout_request_id"] == checkout_request_id
    assert (payment["amount"], payment["account_reference"], payment["phone_number"]) == (1500, "AB12CD34", PHONE)
    assert payment["receipt"] == control.prompt()["receipt"]


def test_the_ledger_is_asked_by_phone_and_by_reference(daraja, control):
    for phone, reference in ((PHONE, "A1"), ("254722000002", "B2")):
        daraja.accepted(phone, AccountReference=reference)
        control.answer(phone, pin="1234")
    assert control.get("ledger/")["amount"] == 3000
    assert control.get("ledger/?phone=0722000002")["payments"][0]["account_reference"] == "B2"
    assert control.get("ledger/?account_reference=A1")["payments"][0]["phone_number"] == PHONE


@pytest.mark.parametrize("delivery", ["lost", "wrong_amount", "malformed", "unknown_id", "contradicted"])
def test_what_the_network_does_changes_nothing_in_the_ledger(daraja, control, delivery):
    daraja.accepted()
    control.answer(pin="1234", delivery=delivery)
    assert control.get("ledger/")["amount"] == 1500


@pytest.mark.parametrize("outcome", ["cancelled", "wrong_pin", "no_response", "expired", "busy", "product"])
def test_a_failure_pays_nothing(daraja, control, outcome):
    daraja.accepted()
    control.answer(outcome=outcome)
    assert control.get("ledger/")["count"] == 0
    assert control.get(f"phones/{PHONE}/")["balance"] == record.FIRST_BALANCE


def test_a_payment_comes_out_of_the_wallet(daraja, control):
    control.post(f"phones/{PHONE}/", {"balance": 2000})
    daraja.accepted()
    control.answer(pin="1234")
    assert control.get(f"phones/{PHONE}/")["balance"] == 500
    assert "New M-PESA balance is Ksh500.00" in control.get(f"phones/{PHONE}/")["messages"][0]


def test_a_wallet_that_holds_too_little_does_not_pay(daraja, control, shop):
    control.post(f"phones/{PHONE}/", {"balance": 1499})
    daraja.accepted()
    control.answer(pin="1234")
    assert shop.wait_for(1)[0]["ResultCode"] == 1
    assert control.get("ledger/")["count"] == 0


def test_a_wallet_pays_its_last_shilling(daraja, control):
    control.post(f"phones/{PHONE}/", {"balance": 1500})
    daraja.accepted()
    assert control.answer(pin="1234")["outcome"] == "paid"


def test_twenty_answers_at_once_pay_once(daraja, control):
    daraja.accepted()
    prompt_id = 1
    wins = []
    actors = [threading.Thread(target=lambda: wins.append(settling.settle(prompt_id, Outcome.PAID))) for _ in range(20)]
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.join()
    assert sorted(wins) == [False] * 19 + [True]
    assert control.get("ledger/")["count"] == 1


def test_pushes_and_payments_of_many_threads_are_all_kept(daraja, control, settings, shop):
    daraja.accepted("254722999999")

    def buy(number: int) -> None:
        caller = Daraja(settings, shop.url)
        caller.token = daraja.token
        caller.accepted(f"2547220001{number:02}")
        Control().answer(f"2547220001{number:02}", pin="1234")

    actors = [threading.Thread(target=buy, args=[number]) for number in range(12)]
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.join()
    payments = control.get("ledger/")["payments"]
    assert len({payment["receipt"] for payment in payments}) == 12
