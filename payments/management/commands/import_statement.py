"""Import M-PESA's organisation statement; once more with the same file it goes on where it stopped."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from commands import DatabaseCommand
from payments.books.compare import compare
from payments.books.statement import StatementError, import_statement
from payments.models import Reading


class Command(DatabaseCommand):
    help = "Read a statement (CSV) of M-PESA's organisation portal, compare it with our record, and say what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the CSV file as the portal exports it")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        try:
            with path.open("rb") as file:
                reading = import_statement(file, name=path.name, progress=self._show)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        except StatementError as error:
            raise CommandError(f"{error} What was read before it stays.") from None
        new = compare(reading)
        self.stdout.write(f"{reading.read_rows} rows, {reading.new_rows} of them new; {new} new findings.")

    def _show(self, reading: Reading) -> None:
        self.stdout.write(f"{reading.percent:3} %  {reading.read_rows} rows")
        self.stdout.flush()
