"""The control API refuses what it does not understand, and never with a 5xx."""

from __future__ import annotations

import pytest
from django.test import Client

from simulator.tests.conftest import PHONE


def test_an_answer_needs_an_open_prompt(control):
    assert control.post(f"phones/{PHONE}/answer/", {"pin": "1234"}, status=404)["detail"]


def test_a_prompt_is_answered_once(daraja, control):
    daraja.accepted()
    assert control.answer(pin="1234")["outcome"] == "paid"
    control.post(f"phones/{PHONE}/answer/", {"pin": "1234"}, status=404)


def test_a_prompt_is_chosen_by_its_id(daraja, control):
    first, second = daraja.accepted(), daraja.accepted()
    assert control.answer(outcome="cancelled", checkout_request_id=first)["checkout_request_id"] == first
    assert control.answer(outcome="cancelled")["checkout_request_id"] == second


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pin": "12"},
        {"pin": 1234},
        {"pin": "1234", "outcome": "paid"},
        {"outcome": "ask"},
        {"outcome": "silent"},
        {"outcome": []},
        {"outcome": "rich"},
        {"pin": "1234", "delivery": None},
        {"pin": "1234", "speed": 1},
        [],
    ],
)
def test_an_answer_that_makes_no_sense_is_400(daraja, control, body):
    daraja.accepted()
    answer = control.client.post(f"/simulator/api/phones/{PHONE}/answer/", body, content_type="application/json")
    assert answer.status_code == 400
    assert control.prompt()["outcome"] is None


@pytest.mark.parametrize("checkout_request_id", [[], {}, 5, "ws_CO_x", True])
def test_an_id_of_another_kind_is_no_open_prompt(daraja, control, checkout_request_id):
    daraja.accepted()
    control.post(f"phones/{PHONE}/answer/", {"pin": "1234", "checkout_request_id": checkout_request_id}, status=404)


@pytest.mark.parametrize(
    "change", [{"balance": -1}, {"balance": True}, {"balance": 500_001}, {"is_on": 1}, {"push": 5}]
)
def test_a_phone_takes_only_what_makes_sense(control, change):
    control.post(f"phones/{PHONE}/", change, status=400)


def test_a_phone_takes_any_way_of_the_table_and_gives_it_back(control):
    changed = control.post(f"phones/{PHONE}/", {"outcome": "cancelled", "delivery": "late", "balance": 7})
    assert (changed["outcome"], changed["delivery"], changed["balance"]) == ("cancelled", "late", 7)
    assert control.post(f"phones/{PHONE}/", {"outcome": None})["outcome"] == "ask"


def test_the_default_is_for_every_phone_but_those_of_the_table(control):
    control.post("default/", {"outcome": "paid"})
    assert control.get(f"phones/{PHONE}/")["outcome"] == "paid"
    assert control.get("phones/254712000001/")["outcome"] == "cancelled"


def test_a_phone_is_named_in_any_form(control):
    control.post("phones/0722%20000%20001/", {"balance": 7})
    assert control.get(f"phones/{PHONE}/")["balance"] == 7


def test_the_values_and_numbers_are_told(control):
    told = control.get("scenarios/")
    assert told["numbers"][0] == {"phone_number": "254712000001", "what": "the customer cancels (1032)"}
    assert {"once", "lost", "late", "twice", "before_answer", "wrong_amount"} <= set(told["delivery"])


def test_a_foreign_page_cannot_post_a_form_here(control):
    assert control.client.post("/simulator/api/reset/", {"x": "1"}).status_code == 415


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 60_000, b'{"a": 1}', b'{"\\ud800": 1}', b" " * 70_000 + b"x"])
@pytest.mark.parametrize("path", ["reset/", "default/", f"phones/{PHONE}/", f"phones/{PHONE}/answer/"])
def test_any_bytes_get_400(path, body):
    answer = Client().post(f"/simulator/api/{path}", body, content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["ledger/?phone=x", "phones/x/", "nothing/", "ledger/?phone=%ff"])
def test_what_is_not_there_is_404(client, path):
    assert client.get(f"/simulator/api/{path}").status_code == 404


@pytest.mark.parametrize("path", ["reset/", "default/", f"phones/{PHONE}/answer/"])
def test_nothing_changes_by_get(client, path):
    assert client.get(f"/simulator/api/{path}").status_code == 405
