"""`manage.py doctor` says what is wrong and what to do; with `--go-live` it pays a shilling and waits for the news."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
import redis
import requests
import responses
from django.core.management import call_command

from payments import doctor, inbox
from payments.daraja import client
from payments.daraja.errors import DarajaRefused, DarajaUnreachable
from payments.models import Reason, Transaction
from payments.tests.conftest import FakeDaraja, callback_body, raising

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Everything outside answers as it should."""
    monkeypatch.setattr(client, "check_credentials", lambda: None)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add(responses.HEAD, doctor.settings.DARAJA_BASE_URL, status=404)
        here = doctor.settings.PUBLIC_BASE_URL
        mock.add(responses.POST, re.compile(f"{here}/payments/callback/.*"), status=404,
                 content_type="application/problem+json", body="{}")  # fmt: skip
        yield mock


def _run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def _finding(name: str) -> doctor.Finding:
    return next(found for found in doctor.examine() if found.about == name)


def test_a_shop_that_is_well_is_told_so() -> None:
    status, said = _run()
    assert status == 0, said
    assert said.count("well ") == len(doctor.EXAMINATIONS)


def test_daraja_out_of_reach_is_told_with_what_to_do(outside: Any) -> None:
    outside.replace(responses.HEAD, doctor.settings.DARAJA_BASE_URL, body=requests.ConnectionError())
    status, said = _run()
    assert (status, "cannot be reached" in said, "DARAJA_BASE_URL" in said) == (1, True, True)


@pytest.mark.parametrize(
    ("error", "are_blamed"),
    [(DarajaRefused("400.008.01", "Invalid Authentication", Reason.OUR_FAULT), True), (DarajaUnreachable("no"), False)],
)
def test_credentials_are_blamed_by_their_names_when_daraja_has_judged_them(
    monkeypatch: pytest.MonkeyPatch, error: Exception, are_blamed: bool
) -> None:
    monkeypatch.setattr(client, "check_credentials", raising(error))
    advice = _finding("daraja").advice
    assert advice
    assert ("MPESA_CONSUMER_KEY" in advice) == are_blamed


def test_a_clock_that_is_wrong_is_told(outside: Any) -> None:
    outside.replace(responses.HEAD, doctor.settings.DARAJA_BASE_URL, headers={"Date": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert "NTP" in _finding("daraja").advice


def test_a_redis_that_is_away_is_told(settings: Any) -> None:
    settings.REDIS_URLS = ["redis://127.0.0.1:1/0"]
    assert "REDIS_URL" in _finding("redis").advice


@pytest.mark.parametrize(
    ("told", "advice"), [("noeviction", ""), (None, ""), ("allkeys-lru", "Give it maxmemory-policy noeviction")]
)
def test_a_redis_that_evicts_is_told_and_one_that_keeps_its_settings_to_itself_is_not(
    settings: Any, monkeypatch: pytest.MonkeyPatch, told: str | None, advice: str
) -> None:
    def config_get(_redis: object, name: str) -> dict[str, str]:
        if told is None:
            raise redis.ResponseError("unknown command 'CONFIG'")
        return {name: told}

    monkeypatch.setattr(redis.Redis, "ping", lambda _redis: True)
    monkeypatch.setattr(redis.Redis, "config_get", config_get)
    settings.REDIS_URLS = ["redis://127.0.0.1:1/0"]
    assert _finding("redis").advice.startswith(advice)
    assert bool(_finding("redis").advice) == bool(advice)


def test_a_spool_that_cannot_be_written_is_told(settings: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    settings.CALLBACK_SPOOL_DIR = tmp_path / "file"
    assert "CALLBACK_SPOOL_DIR" in _finding("spool").advice


@pytest.mark.parametrize("url", ["http://192.168.1.4", "http://shop.example"])
def test_an_address_that_safaricom_cannot_call_is_told(settings: Any, url: str) -> None:
    settings.PUBLIC_BASE_URL, settings.SIMULATOR = url, False
    assert _finding("callbacks").advice


def test_somebody_else_at_the_callback_address_is_told(settings: Any, outside: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://parked.example"
    outside.add(responses.POST, re.compile("https://parked.example/.*"), status=200, body="hello")
    assert "/payments/callback/" in _finding("callbacks").advice


def _calls_back(daraja: FakeDaraja, **told: Any) -> Callable[[dict[str, Any]], client.PushAccepted]:
    def push(asked: dict[str, Any]) -> client.PushAccepted:
        payment = Transaction.objects.get(phone_number=asked["phone_number"])
        inbox.receive(payment.pk, callback_body(payment, CheckoutRequestID="ws_CO_live", **told), None)
        return client.PushAccepted("29115-1-1", "ws_CO_live")

    return push


@pytest.mark.parametrize(("code", "status", "word"), [(0, 0, "Paid"), (1032, 1, "cancelled")])
def test_a_shilling_goes_all_the_way(daraja: FakeDaraja, code: int, status: int, word: str) -> None:
    daraja.push = _calls_back(daraja, code=code)
    ended, said = _run("--go-live", "0722000111", "--wait", "5")
    assert (ended, "callback came" in said, word in said) == (status, True, True), said
    assert Transaction.objects.get().amount == 1


def test_a_callback_that_never_comes_is_told(daraja: FakeDaraja) -> None:
    ended, said = _run("--go-live", "0722000111", "--wait", "0")
    assert (ended, "no callback came" in said) == (1, True), said


def test_a_wrong_number_is_told(daraja: FakeDaraja) -> None:
    assert _run("--go-live", "12")[0] == 1
    assert not daraja.pushes
