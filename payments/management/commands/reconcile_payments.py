"""The second way to the truth, as a command: for cron (one pass) or as a service (`--loop`)."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from commands import DatabaseCommand, refuse_missing_migrations
from jsonhttp import DATABASE_AWAY
from payments.reconciler import run_forever, run_pass


class Command(DatabaseCommand):
    help = "Ask Daraja about payments without an answer and expire those that have waited long enough."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--loop", action="store_true", help="keep going until SIGTERM instead of one pass")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            self._pass_once()
            return
        _refuse_missing_migrations()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_forever(stop)

    def _pass_once(self) -> None:
        try:
            done = run_pass()
        except DATABASE_AWAY as error:
            _refuse_missing_migrations()
            away = f"The database is away ({type(error).__name__}): nothing more was done in this pass."
            raise CommandError(away) from error
        self.stdout.write(f"{done} payments were asked about or expired.")


def _refuse_missing_migrations() -> None:
    with suppress(DatabaseError):  # one that is away may be well; the loop waits for it
        refuse_missing_migrations()
