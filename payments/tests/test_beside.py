from __future__ import annotations

import threading

import pytest
from django.db import InterfaceError, OperationalError

from payments.beside import run_beside


def _told_about(rounds: list[Exception | None], caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    """Let a thread of its own go through such rounds, and return what it logged: events, with their errors."""
    stop = threading.Event()

    def work() -> None:
        fault = rounds.pop(0)
        if not rounds:
            stop.set()
        if fault:
            raise fault

    run_beside("mail", work, every=0, stop=stop).join(timeout=10)
    assert rounds == []
    return [(line.msg["event"], line.msg.get("error")) for line in caplog.records if isinstance(line.msg, dict)]


def test_a_database_that_is_away_for_many_rounds_is_told_once_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = [OperationalError(), InterfaceError(), OperationalError()]
    told = _told_about([None, *away, None, None, OperationalError()], caplog)
    failed = ("beside.round_failed", "OperationalError")
    assert told == [failed, ("beside.recovered", None), failed]


def test_another_fault_is_told_even_while_one_lasts(caplog: pytest.LogCaptureFixture) -> None:
    told = _told_about([OperationalError(), KeyError("key"), KeyError("key")], caplog)
    assert told == [("beside.round_failed", "OperationalError"), ("beside.round_failed", "KeyError")]
