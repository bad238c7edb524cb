"""Read M-PESA's list of the last two days, for cron; and register for it, once in a shortcode's life."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from commands import DatabaseCommand
from payments.books.compare import compare
from payments.books.pull import pull
from payments.daraja import operator
from payments.daraja.client import DarajaError
from payments.phone_numbers import InvalidPhoneNumber, normalise_phone_number

LONGEST = 48  # hours


class Command(DatabaseCommand):
    help = "Pull the payments that M-PESA lists, compare them with our record, and say what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--hours", type=int, default=LONGEST, help="how far back, 1 to 48; 48 unless given")
        parser.add_argument(
            "--register", metavar="PHONE", help="register first, with a Safaricom number that the shortcode belongs to"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["hours"] <= LONGEST:
            raise CommandError("--hours must be from 1 to 48: M-PESA lists nothing older.")
        try:
            if options["register"]:
                self._register(options["register"])
            reading = pull(hours=options["hours"])
        except DarajaError as error:
            raise CommandError(f"M-PESA gave no list ({error.outcome}): {error}.") from None
        new = compare(reading)
        self.stdout.write(f"{reading.read_rows} rows, {reading.new_rows} of them new; {new} new findings.")

    def _register(self, typed: str) -> None:
        try:
            number = normalise_phone_number(typed)
        except InvalidPhoneNumber:
            raise CommandError("--register needs a Safaricom number, such as 0712345678.") from None
        is_new = operator.register_pull(nominated_number=number, callback_url=f"{settings.PUBLIC_BASE_URL}/")
        self.stdout.write("Registered." if is_new else "It was registered before.")
