"""Serve Papo until a point is reached at which it kills itself: CRASH_AT="after inbox._store", `… deadly worker`."""

from __future__ import annotations

import os
import sys

from tests.faults.crashing import plant


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    import django

    django.setup()
    from django.core.management import execute_from_command_line

    from payments import checkout, inbox, reconciler, signals, transitions  # noqa: F401 - found by name

    when, function = os.environ["CRASH_AT"].split()
    plant(when, function, 1)
    execute_from_command_line(["manage.py", sys.argv[1]])


if __name__ == "__main__":
    main()
