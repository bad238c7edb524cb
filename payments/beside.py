"""Work that goes on beside the requests and the reconciler, and must be able to fail or hang alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from django.db import connection

log = structlog.get_logger(__name__)


def run_beside(name: str, work: Callable[[], object], *, every: float, stop: threading.Event) -> threading.Thread:
    """Call `work` every so many seconds until `stop` is set, in a thread that never keeps a process from ending.

    No fault of a round ends the rounds.
    """

    def rounds() -> None:
        while not stop.is_set():
            try:
                work()
            except Exception as error:
                log.warning("beside.round_failed", work=name, error=type(error).__name__)
            finally:
                connection.close()
            stop.wait(every)

    thread = threading.Thread(target=rounds, name=name, daemon=True)
    thread.start()
    return thread
