"""The second way to the truth, as a command: for cron (one pass) or as a service (`--loop`)."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from payments.reconciler import run_forever, run_pass


class Command(BaseCommand):
    help = "Ask Daraja about payments without an answer and expire those that have waited long enough."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--loop", action="store_true", help="keep going until SIGTERM instead of one pass")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            self.stdout.write(f"{run_pass()} payments were asked about or expired.")
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_forever(stop)
