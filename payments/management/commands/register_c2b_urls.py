from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from commands import DatabaseCommand
from payments.c2b.path import confirmation_url, validation_url
from payments.c2b.registration import register
from payments.daraja.c2b import RegisteredBefore
from payments.daraja.client import DarajaError

ONCE = """In production Safaricom takes the URLs of a shortcode ONCE. After that only its portal changes them
(Self Services, URL Management: delete them there, then run this again). Before you go on:
  * PUBLIC_BASE_URL is the shop's final address: https, no M-PESA, Safaricom, exe, cmd, sql or query in it;
  * C2B_PATH_SECRET is set and kept safe: the path is made from it, and another one makes another path.
    While it is empty the path hangs on CALLBACK_SECRET, and would change with it;
  * the shop runs, and answers there."""
BEFORE = """Daraja says that the URLs of this shortcode are registered already. Is it these?
If not, delete them on the Daraja portal under Self Services, URL Management, and run this again."""


class Command(DatabaseCommand):
    help = "Tell Daraja where payments by hand are confirmed. Without --yes it only explains what would happen."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="register the URLs that are shown without it")
        parser.add_argument(
            "--cancel-when-silent",
            action="store_true",
            help="with validation on, M-PESA cancels a payment that the shop does not answer for; default: it is taken",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(
            f"Shortcode {settings.MPESA_SHORTCODE} in {settings.MPESA_ENVIRONMENT}:\n"
            f"  confirmation {confirmation_url()}\n  validation   {validation_url()}\n\n{ONCE}\n"
        )
        if not options["yes"]:
            self.stdout.write("\nNothing was sent. Run it with --yes to register them.")
            return
        try:
            register(complete_when_silent=not options["cancel_when_silent"])
        except RegisteredBefore:
            raise CommandError(BEFORE) from None
        except DarajaError as error:
            raise CommandError(f"Daraja did not register them ({error.outcome}): {error}") from error
        self.stdout.write("\nRegistered. Payments by hand are confirmed here from now on.")
