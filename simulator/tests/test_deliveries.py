"""What the network does with a callback: each fault, against a shop that listens."""

from __future__ import annotations

import re
import time

import pytest

from simulator import courier, identifiers
from simulator.tests.conftest import PHONE, eventually, items


def _pay(daraja, control, delivery="once", **push):
    checkout_request_id = daraja.accepted(**push)
    control.answer(pin="1234", delivery=delivery)
    return checkout_request_id


def test_a_success_comes_once_as_daraja_writes_it(daraja, control, shop, settings):
    checkout_request_id = _pay(daraja, control)
    (callback,) = shop.wait_for(1)
    path, headers, body, at = shop.received[0]
    assert path == "/callback/secret/"
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["Businessshortcode"] == settings.MPESA_SHORTCODE
    assert (callback["CheckoutRequestID"], callback["ResultCode"]) == (checkout_request_id, 0)
    assert b'{"Name": "Amount", "Value": 1500.00}' in body
    assert b'{"Name": "Balance"}' in body
    assert str(items(callback)["TransactionDate"])[:10] == identifiers.timestamp(at)[:10]
    assert items(callback)["PhoneNumber"] == int(PHONE)


def test_the_receipt_of_the_callback_is_the_ledgers(daraja, control, shop):
    _pay(daraja, control)
    (callback,) = shop.wait_for(1)
    assert items(callback)["MpesaReceiptNumber"] == control.get("ledger/")["payments"][0]["receipt"]


def test_a_failure_has_no_metadata(daraja, control, shop):
    daraja.accepted()
    control.answer(outcome="cancelled")
    (callback,) = shop.wait_for(1)
    assert (callback["ResultCode"], callback["ResultDesc"]) == (1032, "Request cancelled by user")
    assert "CallbackMetadata" not in callback


def test_a_lost_callback_is_never_scheduled(daraja, control, shop):
    _pay(daraja, control, "lost")
    assert control.prompt()["callbacks"] == []
    assert control.get("")["callbacks_waiting"] == 0
    assert courier.next_due() is None


def test_a_late_callback_comes_late(daraja, control, shop, settings):
    settings.SIMULATOR_LATE_SECONDS = 3600
    _pay(daraja, control, "late")
    assert control.prompt()["callbacks"][0]["state"] == "waiting"
    assert courier.next_due() - time.time() > 3500
    assert not shop.received


def test_a_late_callback_does_come(daraja, control, shop):
    _pay(daraja, control, "late")
    assert shop.wait_for(1)[0]["ResultCode"] == 0


def test_after_expiry_callback_and_query_tell_only_when_the_shop_gave_up(daraja, control, settings):
    settings.MPESA_EXPIRE_AFTER_SECONDS = 100
    checkout_request_id = _pay(daraja, control, "after_expiry")
    assert control.get("ledger/")["count"] == 1
    assert daraja.query(checkout_request_id).json()["ResultCode"] == "4999"
    pushed_at = control.prompt()["pushed_at"]
    due_at = identifiers.nairobi(courier.next_due())
    assert (due_at - type(due_at).fromisoformat(pushed_at)).total_seconds() == pytest.approx(105)


def test_after_expiry_is_told_once_it_is_due(daraja, control, shop, settings):
    settings.MPESA_EXPIRE_AFTER_SECONDS = -5
    checkout_request_id = _pay(daraja, control, "after_expiry")
    shop.wait_for(1)
    assert daraja.query(checkout_request_id).json()["ResultCode"] == "0"


def test_twice_brings_two_equal_callbacks(daraja, control, shop):
    _pay(daraja, control, "twice")
    first, second = shop.wait_for(2)
    assert first == second


def test_a_wrong_amount_differs_from_what_was_paid(daraja, control, shop):
    _pay(daraja, control, "wrong_amount")
    assert items(shop.wait_for(1)[0])["Amount"] == 1499
    assert control.get("ledger/")["amount"] == 1500


def test_a_wrong_amount_of_one_shilling_is_two(daraja, control, shop):
    _pay(daraja, control, "wrong_amount", Amount=1)
    assert items(shop.wait_for(1)[0])["Amount"] == 2


@pytest.mark.parametrize(("delivery", "codes"), [("out_of_order", [1037, 0]), ("contradicted", [0, 1032])])
def test_contradicting_callbacks_come_in_the_order_asked_for(daraja, control, shop, delivery, codes):
    _pay(daraja, control, delivery)
    assert [callback["ResultCode"] for callback in shop.wait_for(2)] == codes


def test_an_odd_callback_is_true_but_differently_written(daraja, control, shop):
    checkout_request_id = _pay(daraja, control, "odd")
    (callback,) = shop.wait_for(1)
    assert (callback["CheckoutRequestID"], callback["ResultCode"]) == (checkout_request_id, "0")
    assert items(callback)["PhoneNumber"] == "254722***001"
    assert next(iter(items(callback))) == "PhoneNumber"


def test_a_malformed_callback_is_cut_off(daraja, control, shop):
    _pay(daraja, control, "malformed")
    eventually(lambda: shop.received)
    body = shop.received[0][2]
    assert body.startswith(b'{"Body"')
    assert not body.endswith(b"}")


def test_an_unknown_id_is_well_formed_but_nobodys(daraja, control, shop):
    checkout_request_id = _pay(daraja, control, "unknown_id")
    (callback,) = shop.wait_for(1)
    assert callback["CheckoutRequestID"] != checkout_request_id
    assert re.fullmatch(r"ws_CO_\d{17}722000001", callback["CheckoutRequestID"])


def test_without_an_amount_the_rest_is_there(daraja, control, shop):
    _pay(daraja, control, "no_amount")
    assert set(items(shop.wait_for(1)[0])) == {"MpesaReceiptNumber", "Balance", "TransactionDate", "PhoneNumber"}


def test_before_the_answer_the_callback_is_there_when_the_push_returns(daraja, control, shop):
    control.post(f"phones/{PHONE}/", {"delivery": "before_answer"})
    answer = daraja.push()
    assert shop.wait_for(1)[0]["CheckoutRequestID"] == answer.json()["CheckoutRequestID"]
    assert control.prompt()["callbacks"] == [{"state": "sent", "status": 200, "problem": None}]


@pytest.mark.parametrize("status", [500, 404, 302, 307])
def test_whatever_the_shop_answers_nothing_is_sent_again_or_elsewhere(daraja, control, shop, status):
    shop.status = status
    _pay(daraja, control)
    eventually(lambda: control.prompt()["callbacks"][0]["state"] == "sent")
    assert control.prompt()["callbacks"] == [{"state": "sent", "status": status, "problem": None}]
    assert courier.next_due() is None
    assert [path for path, *_ in shop.received] == ["/callback/secret/"]


def test_a_shop_that_is_away_misses_its_callback(daraja, control, shop):
    _pay(daraja, control, CallBackURL="http://127.0.0.1:9/callback/")
    eventually(lambda: control.prompt()["callbacks"][0]["state"] == "failed")
    assert control.prompt()["callbacks"][0]["problem"] == "ConnectionError"
    assert courier.next_due() is None


def test_a_slow_shop_does_not_hold_up_another_callback(daraja, control, shop):
    shop.before_answer = lambda: eventually(lambda: len(shop.received) == 2)
    daraja.accepted()
    daraja.accepted("254722000002")
    control.answer(pin="1234")
    control.answer("254722000002", pin="1234")
    assert len(shop.wait_for(2)) == 2
