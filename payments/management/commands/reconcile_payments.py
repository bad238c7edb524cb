"""The second way to the truth, as a command: for cron (one pass) or as a service (`--loop`)."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jsonhttp import DATABASE_AWAY
from payments.reconciler import run_forever, run_pass


class Command(BaseCommand):
    help = "Ask Daraja about payments without an answer and expire those that have waited long enough."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--loop", action="store_true", help="keep going until SIGTERM instead of one pass")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            self._pass_once()
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_forever(stop)

    def _pass_once(self) -> None:
        try:
            done = run_pass()
        except DATABASE_AWAY as error:
            away = f"The database is away or not migrated ({type(error).__name__}): nothing more was done in this pass."
            raise CommandError(away) from error
        self.stdout.write(f"{done} payments were asked about or expired.")
