"""What has to be well before this process should be given work; other apps add their own probes."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connection

from payments import reconciler, spool

STALE_AFTER = 30  # seconds without a reconciler pass

Probe = Callable[[], bool]
_probes: dict[str, Probe] = {}


def add_probe(name: str, probe: Probe) -> None:
    """Have `/readyz` ask `probe`, which returns whether `name` is ready and may raise when it is not."""
    _probes[name] = probe


def not_ready() -> list[str]:
    """Return the names of what is not ready; never hosts, and never the text of an error."""
    return [name for name, probe in _probes.items() if not _answers(probe)]


def _answers(probe: Probe) -> bool:
    try:
        return probe()
    except Exception:
        return False


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM payments_transaction LIMIT 1")
    except DatabaseError:
        connection.close()
        return False
    return True


def _reconciler() -> bool:
    age = reconciler.last_pass_age()
    return age is not None and age < STALE_AFTER


add_probe("database", _database)
add_probe("reconciler", _reconciler)
add_probe("spool", lambda: spool.length() == 0)
