"""Migrate beneath processes that serve: a migration's lock and a customer's may wait for each other, on PostgreSQL."""

from __future__ import annotations

import time

import structlog
from django.core.management import call_command
from django.db import OperationalError, connection

log = structlog.get_logger(__name__)

LOCKED_OUT = {"40P01", "55P03"}  # deadlock_detected, lock_not_available: nothing was changed, and again it may succeed
TRIES = 10
PAUSE = 1.0  # seconds, in which those who waited behind us go on
# While we wait for a table, everybody else waits behind us.
LOCK_TIMEOUT = "2s"


def migrate() -> None:
    """Apply what is missing, each migration as a whole; raises OperationalError when a table cannot be had for long."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
    for attempt in range(1, TRIES + 1):
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            if attempt == TRIES or getattr(error.__cause__, "sqlstate", None) not in LOCKED_OUT:
                raise
            log.warning("migrate.again", attempt=attempt, error=type(error.__cause__).__name__)
            time.sleep(PAUSE)
        else:
            break
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("RESET lock_timeout")
