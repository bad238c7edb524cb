"""The table of phone numbers does what it says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from simulator import courier, tokens
from simulator import daraja as simulated
from simulator.scenarios import BY_NUMBER, RESULTS, Outcome, documented
from simulator.tests.conftest import eventually, items


def _number(last: int) -> str:
    return f"254712000{last:03}"


def test_the_documented_table_is_the_table():
    assert [number for number, _ in documented()] == list(BY_NUMBER)


def test_every_outcome_that_ends_a_prompt_has_its_words():
    assert set(RESULTS) == set(Outcome) - {Outcome.ASK, Outcome.SILENT}


@pytest.mark.parametrize(
    ("last", "code"),
    [(1, 1032), (2, 1), (3, 2001), (4, 1037), (5, 1019), (8, 0), (19, "E3008"), (27, 17), (28, 1025), (29, 8006)],
)
def test_a_number_ends_by_itself_with_its_code(daraja, shop, control, last, code):
    checkout_request_id = daraja.accepted(_number(last))
    assert shop.wait_for(1)[0]["ResultCode"] == code
    assert daraja.query(checkout_request_id).json()["ResultCode"] == str(code)
    assert control.get("ledger/")["count"] == (1 if code == 0 else 0)


@pytest.mark.parametrize("last", [9, 26, 32, 34, 35])
def test_a_number_whose_callback_is_lost_pays_all_the_same(daraja, control, last):
    daraja.accepted(_number(last))
    eventually(lambda: control.get("ledger/")["count"] == 1)
    assert control.prompt(_number(last))["callbacks"] == []


@pytest.mark.parametrize(("last", "codes"), [(11, [0, 0]), (14, [1037, 0]), (31, [0, 1032])])
def test_a_number_with_two_callbacks_sends_two(daraja, shop, last, codes):
    daraja.accepted(_number(last))
    assert [callback["ResultCode"] for callback in shop.wait_for(2)] == codes


def test_number_12_has_paid_before_the_push_is_answered(daraja, shop, control):
    daraja.accepted(_number(12))
    assert len(shop.received) == 1
    assert control.get("ledger/")["count"] == 1


def test_number_13_names_another_amount_and_number_23_none(daraja, shop):
    daraja.accepted(_number(13))
    assert items(shop.wait_for(1)[0])["Amount"] == 1499
    daraja.accepted(_number(23))
    assert "Amount" not in items(shop.wait_for(2)[1])


def test_number_10_tells_nothing_before_the_shop_gives_up(daraja, control, settings):
    checkout_request_id = daraja.accepted(_number(10))
    eventually(lambda: control.get("ledger/")["count"] == 1)
    assert daraja.query(checkout_request_id).json()["ResultCode"] == "4999"
    assert control.prompt(_number(10))["callbacks"][0]["state"] == "waiting"


def test_number_25_is_never_heard_of_again(daraja, control):
    checkout_request_id = daraja.accepted(_number(25))
    assert courier.next_due() is None
    assert daraja.query(checkout_request_id).json()["ResultCode"] == "4999"


@pytest.mark.parametrize(
    ("last", "status", "code", "message"),
    [
        (6, 500, "500.001.1001", "Unable to lock subscriber"),
        (7, 500, "500.003.02", "System is busy"),
        (15, 400, "400.002.02", "Invalid PhoneNumber"),
        (24, 500, "500.003.1001", "Internal Server Error"),
        (33, 500, "500.001.1001", "Wrong credentials"),
    ],
)
def test_a_number_whose_push_is_refused_is_not_prompted(daraja, control, last, status, code, message):
    answer = daraja.push(_number(last))
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)
    assert message in answer.json()["errorMessage"]
    assert control.get("")["pushes_accepted"] == 0


def test_number_17_meets_a_firewall_and_number_18_the_gateways_limit(daraja, control):
    firewall, limit = daraja.push(_number(17)), daraja.push(_number(18))
    assert (firewall.status_code, firewall["Content-Type"].split(";")[0]) == (403, "text/html")
    assert (limit.status_code, "fault" in limit.json()) == (429, True)
    assert control.get("")["pushes_accepted"] == 0


def test_number_16_is_prompted_though_half_of_the_answer_is_missing(daraja, shop, control):
    answer = daraja.push(_number(16))
    assert int(answer["Content-Length"]) > len(answer.content)
    assert shop.wait_for(1)[0]["ResultCode"] == 0
    assert control.get("ledger/")["count"] == 1


def test_number_30_is_prompted_though_a_gateway_gives_up(daraja, shop):
    assert daraja.push(_number(30)).status_code == 504
    assert shop.wait_for(1)[0]["ResultCode"] == 0


def test_number_36_finds_its_token_stale_and_the_next_one_slow(daraja, shop, control, settings, monkeypatch):
    waits = []
    monkeypatch.setattr(simulated, "time", SimpleNamespace(sleep=waits.append))
    settings.SIMULATOR_TOKEN_SECONDS = 4.5
    stale = daraja.push(_number(36))
    assert (stale.status_code, stale.json()["errorCode"]) == (404, "404.001.03")
    assert control.get("")["pushes_accepted"] == 0
    assert 4.5 not in waits
    daraja.token = ""
    assert daraja.push(_number(36)).status_code == 200
    assert 4.5 in waits
    assert not tokens.is_slow()
    assert shop.wait_for(1)[0]["ResultCode"] == 0


@pytest.mark.parametrize("last", [20, 21, 22])
def test_a_number_with_a_garbled_callback_is_heard_once_and_pays(daraja, shop, control, last):
    daraja.accepted(_number(last))
    eventually(lambda: control.get("ledger/")["count"] == 1 and shop.received)
    eventually(lambda: courier.next_due() is None)
    assert len(shop.received) == 1


def test_any_other_number_waits_for_its_person(daraja, control):
    daraja.accepted("254799999999")
    prompt = control.prompt("254799999999")
    assert (prompt["is_shown"], prompt["outcome"]) == (True, None)


def test_a_prompt_that_nobody_answers_ends_with_1037(daraja, shop, settings):
    settings.SIMULATOR_PROMPT_SECONDS = 0.05
    daraja.accepted()
    assert shop.wait_for(1)[0]["ResultCode"] == 1037
