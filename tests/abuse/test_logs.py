"""What strangers name themselves stays inside its line of the log."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import pytest
import structlog

import logs

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
