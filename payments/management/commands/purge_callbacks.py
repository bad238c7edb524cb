"""Empty old callbacks, from cron once a day: their bodies name the payer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from commands import DatabaseCommand
from payments.management.arguments import add_older_than
from payments.retention import purge_callbacks


class Command(DatabaseCommand):
    help = "Empty the bodies of callbacks settled more than DAYS ago; their digest and outcome stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_older_than(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{purge_callbacks(older_than=options['older_than'])} bodies were emptied.")
