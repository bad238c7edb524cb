from __future__ import annotations

import signal
import threading
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.demo.load import Customers, ShopRefuses

FASTEST = 50  # customers a second
LONGEST = 60  # minutes


class Command(BaseCommand):
    help = "Send made-up customers to a shop that is running here with the simulator, so that its board is busy."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rate", type=_between(0.1, FASTEST), default=2, help="customers a second (2)")
        parser.add_argument("--minutes", type=_between(0.01, LONGEST), default=5, help="for how long (5)")

    def handle(self, *args: Any, rate: float, minutes: float, **options: Any) -> None:
        if not settings.SIMULATOR:
            raise CommandError("Made-up customers come only to the simulator (MPESA_ENVIRONMENT=simulator).")
        stop = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stop.set())
        try:
            customers = Customers(f"http://127.0.0.1:{settings.PORT}")
        except ShopRefuses as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"{rate:g} customers a second for {minutes:g} minutes; Ctrl-C ends it.")
        for what, count in customers.come(rate=rate, seconds=minutes * 60, stop=stop).most_common():
            self.stdout.write(f"{count:7,} {what}")


def _between(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not least <= value <= most:
            raise ArgumentTypeError(f"must be a number from {least:g} to {most:g}")
        return value

    return read
