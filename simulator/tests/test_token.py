"""The token endpoint, and what a token is worth."""

from __future__ import annotations

import re

import pytest
import time_machine


def test_a_token_has_28_characters_and_expires_in_is_a_string(daraja):
    answer = daraja.ask_for_token()
    assert answer.status_code == 200
    assert re.fullmatch(r"[A-Za-z0-9]{28}", answer.json()["access_token"])
    assert answer.json()["expires_in"] == "3599"


def test_wrong_credentials_get_400_and_an_empty_body(daraja):
    answer = daraja.ask_for_token(key="stranger")
    assert (answer.status_code, answer.content) == (400, b"")


def test_another_grant_type_is_named(daraja):
    answer = daraja.ask_for_token(grant_type="password")
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.008.02")


@pytest.mark.parametrize("header", ["", "Bearer abc", "Basic", "Basic %%%", "Basic ää"])
def test_what_is_not_basic_authentication_is_named(client, header):
    url = "/simulator/oauth/v1/generate?grant_type=client_credentials"
    answer = client.get(url, headers={"Authorization": header})
    assert answer.status_code == 400
    assert header == "Basic" or answer.json()["errorCode"] == "400.008.01"


def test_a_new_token_kills_the_old_one_for_pushes_and_queries(daraja):
    old, new = (daraja.ask_for_token().json()["access_token"] for _ in range(2))
    push = daraja.post("stkpush/v1/processrequest", daraja.push_fields(), token=old)
    query = daraja.post("stkpushquery/v1/query", daraja.shop_fields(), token=old)
    assert (push.status_code, push.json()["errorCode"]) == (404, "404.001.03")
    assert (query.status_code, query.json()["errorCode"]) == (400, "400.003.01")
    assert daraja.post("stkpush/v1/processrequest", daraja.push_fields(), token=new).status_code == 200


def test_a_token_dies_after_an_hour(daraja):
    with time_machine.travel("2026-11-23 09:00:00+03:00") as clock:
        daraja.accepted()
        clock.shift(3601)
        assert daraja.push().json()["errorCode"] == "404.001.03"


def test_a_push_without_a_bearer_is_refused_for_its_header(daraja):
    answer = daraja.post("stkpush/v1/processrequest", daraja.push_fields(), token="")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "404.001.04")


@pytest.mark.parametrize(
    "path", ["oauth/v1/generate", "mpesa/stkpush/v1/processrequest", "mpesa/stkpushquery/v1/query"]
)
def test_the_wrong_method_is_named(client, path):
    method = client.post if path.startswith("oauth") else client.get
    answer = method(f"/simulator/{path}")
    assert (answer.status_code, answer.json()["errorCode"]) == (405, "405.001")


def test_another_path_of_daraja_is_not_found_in_its_own_words(client):
    answer = client.post("/simulator/mpesa/b2c/v1/paymentrequest")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "404.001.01")
