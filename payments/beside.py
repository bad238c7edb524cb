"""Work that goes on beside the requests and the reconciler, and must be able to fail or hang alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from jsonhttp import DATABASE_AWAY
from payments.db import rest_connection

log = structlog.get_logger(__name__)


def run_beside(name: str, work: Callable[[], object], *, every: float, stop: threading.Event) -> threading.Thread:
    """Call `work` every so many seconds until `stop` is set, in a thread that never keeps a process from ending.

    No fault of a round ends the rounds. The same fault round after round is logged once, and its end once.
    """

    def rounds() -> None:
        fault = ""
        while not stop.is_set():
            fault = _round(name, work, fault)
            stop.wait(every)

    thread = threading.Thread(target=rounds, name=name, daemon=True)
    thread.start()
    return thread


def _round(name: str, work: Callable[[], object], last_fault: str) -> str:
    """Call `work` once and return its fault, "" for none; one that differs from the last round's is logged."""
    try:
        work()
    except Exception as error:
        # A database that is away says so in several ways, now this and now that.
        fault = "database away" if isinstance(error, DATABASE_AWAY) else type(error).__name__
        if fault != last_fault:
            log.warning("beside.round_failed", work=name, error=type(error).__name__)
        return fault
    finally:
        rest_connection()
    if last_fault:
        log.info("beside.recovered", work=name)
    return ""
