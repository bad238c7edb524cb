"""One line per push and query, with nothing in it that could pay, prompt or identify."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from payments.daraja.client import DarajaError
from payments.tests.fake_daraja import (
    CHECKOUT_REQUEST_ID,
    KEY,
    OAUTH,
    PASSKEY,
    PUSH,
    QUERY,
    SECRET,
    FakeDaraja,
    Handler,
    ask,
    push,
    running_daraja,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def daraja(settings: Any) -> Iterator[FakeDaraja]:
    with running_daraja(settings) as server:
        yield server


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def events(lines: list[Any], name: str) -> list[Any]:
    return [line for line in lines if line["event"] == name]


def test_a_push_is_one_line_with_outcome_and_milliseconds(daraja: FakeDaraja, lines: list[Any]) -> None:
    push()
    [line] = events(lines, "daraja.push")
    assert line["outcome"] == "accepted"
    assert line["phone"] == "2547•••••149"
    assert isinstance(line["ms"], int)


def test_a_query_is_one_line_with_its_result(daraja: FakeDaraja, lines: list[Any]) -> None:
    ask()
    [line] = events(lines, "daraja.query")
    assert (line["outcome"], line["result_code"]) == ("success", "0")


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize(
    ("kind", "status", "code", "outcome"),
    [
        (PUSH, 400, "400.002.02", "refused"),
        (PUSH, 500, "500.003.02", "throttled"),
        (PUSH, 500, "500.003.1001", "unknown"),
        (OAUTH, 503, "503", "unreachable"),
    ],
)
def test_a_failed_push_is_one_line_with_its_outcome(
    daraja: FakeDaraja, lines: list[Any], kind: str, status: int, code: str, outcome: str
) -> None:
    daraja.say(kind, status, {"errorCode": code, "errorMessage": "What Daraja says"})
    with pytest.raises(DarajaError):
        push()
    [line] = events(lines, "daraja.push")
    assert line["outcome"] == outcome
    assert "What Daraja says" in line["error"]


def test_a_retry_with_a_new_token_stays_one_line(daraja: FakeDaraja, lines: list[Any]) -> None:
    push()
    daraja.living_token = "another"
    push()
    assert len(events(lines, "daraja.push")) == 2
    assert len(events(lines, "daraja.token")) == 2


def test_no_line_holds_a_secret_a_token_an_id_or_a_number(daraja: FakeDaraja, lines: list[Any]) -> None:
    push()
    ask()
    daraja.living_token = "another"
    ask()
    daraja.answers = {PUSH: hang_up, QUERY: hang_up}
    for call in (push, ask):
        with pytest.raises(DarajaError):
            call()
    told = repr(lines)
    secrets = (KEY, SECRET, PASSKEY, CHECKOUT_REQUEST_ID, "254708374149", "0011.2233", "token0", "Bearer", "another")
    assert [secret for secret in secrets if secret in told] == []
