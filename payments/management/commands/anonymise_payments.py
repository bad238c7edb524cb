"""Forget whose phone paid, from cron once a day: receipts and amounts are what the books need."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from commands import DatabaseCommand
from payments.management.arguments import add_older_than
from payments.retention import anonymise_payments


class Command(DatabaseCommand):
    help = "Replace the phone numbers of payments finished more than DAYS ago, for ever; receipts and amounts stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_older_than(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{anonymise_payments(older_than=options['older_than'])} payments were anonymised.")
