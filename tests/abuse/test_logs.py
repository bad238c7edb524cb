"""What strangers name themselves stays inside its line of the log."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import pytest
import structlog
from django.db import IntegrityError
from django.test import Client

import logs

FORM = "application/x-www-form-urlencoded"
FORGED = "boss\r\n2026-11-26T00:00:00Z [info] payment.completed \x1b[32mok\x1b[0m\x9b\u2028"


@pytest.fixture(params=[False, True], ids=["console", "json"])
def formatter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> logging.Formatter:
    """The formatter of every line, without giving the process other loggers."""
    given: list[Any] = []
    monkeypatch.setattr(logging.config, "dictConfig", given.append)
    monkeypatch.setattr(structlog, "configure", lambda **options: None)
    logs.configure(json=request.param)
    options = dict(given[0]["formatters"]["line"])
    return options.pop("()")(**options)


def test_a_name_can_neither_begin_a_line_nor_colour_a_terminal(formatter: logging.Formatter) -> None:
    told = {"args": (FORGED,), "levelname": "WARNING", "levelno": logging.WARNING}
    text = "".join(formatter.format(logging.makeLogRecord({"msg": msg, **told})) for msg in ("Locking out %s", "%s"))
    assert not any(control in text for control in ("\r", "\n", "\x1b", "\x9b", "\u2028"))
    assert "payment.completed" in text


def test_an_exception_keeps_its_lines_and_loses_its_colours(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
        text = formatter.format(record)
    assert "ValueError" in text
    assert "\x1b" not in text


def test_bytes_that_are_no_text_in_a_socket_leave_no_line() -> None:
    uvicorn = logging.getLogger("uvicorn.error")
    ours = logging.makeLogRecord({"name": uvicorn.name, "msg": "Exception in ASGI application"})
    theirs = logging.makeLogRecord({"name": uvicorn.name, "msg": "Invalid UTF-8 sequence received from client."})
    assert uvicorn.filter(ours)
    assert not uvicorn.filter(theirs)


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {}], ids=["a foreign host", "a form of 2,000 fields"])
def test_an_odd_request_leaves_no_line(client: Client, caplog: pytest.LogCaptureFixture, headers: Any) -> None:
    answer = client.post("/cart/add/", "a=1&" * 2_000, content_type=FORM, headers=headers)
    assert answer.status_code == 400
    assert caplog.records == []


ROW = "(7, Wanjiku (mama) W.\n\nShop, 0712 345 678, 0b9c1f42-7a6e-4d1c-9a54-0a4f2a5c7d11.5f3a, null)"
REFUSED = (
    f'null value in column "amount" violates not-null constraint\nDETAIL:  Failing row contains {ROW}.',
    "duplicate key value\nDETAIL:  Key (scope, key)=(stk-push:0b9c1f42, Wanjiku (0712 345 678)) already exists.",
    'update or delete\nDETAIL:  Key (id)=(0b9c1f42) is still referenced from table "x".',
)
IN_A_ROW = ("Wanjiku", "mama", "Shop", "345 678", "0b9c1f42", "5f3a")


@pytest.mark.parametrize("refused", REFUSED)
def test_what_postgresql_quotes_of_a_row_is_in_no_traceback(formatter: logging.Formatter, refused: str) -> None:
    """The database's error, the one that Django makes of it, and one of ours after both."""
    try:
        try:
            try:
                raise ValueError(refused)
            except ValueError as error:
                raise IntegrityError(refused) from error
        except IntegrityError:
            raise RuntimeError("and so no order") from None
    except RuntimeError as error:
        error.__suppress_context__ = False
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
        text = formatter.format(record)
    assert [held for held in IN_A_ROW if held in text] == []
    assert [name for name in ("ValueError", "IntegrityError", "and so no order") if name not in text] == []


@pytest.mark.parametrize("refused", REFUSED)
def test_what_postgresql_quotes_of_a_row_is_in_no_message(formatter: logging.Formatter, refused: str) -> None:
    foreign = logging.makeLogRecord({"msg": "The database says: %s", "args": (IntegrityError(refused),)})
    event: Any = {"event": "order.failed", "error": IntegrityError(refused), "why": refused}
    for process in logs._SHARED_PROCESSORS:
        event = process(None, "error", event)
    ours = logging.makeLogRecord({"msg": event, "_logger": None, "_name": "error"})
    for record in (foreign, ours):
        text = formatter.format(record)
        assert [held for held in IN_A_ROW if held in text] == []
        assert "[values]" in text
