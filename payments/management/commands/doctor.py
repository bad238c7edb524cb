"""`manage.py doctor`: is everything there that payments need? And, for KES 1 of your own, does it all work?"""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management import BaseCommand
from django.core.management.base import CommandParser

from payments.checkout import CheckoutRefused, start_checkout
from payments.doctor import examine
from payments.models import Callback, Status, Transaction
from payments.phone_numbers import mask, normalise_phone_number
from shop.orders import place_counter_sale

LOOK_EVERY = 0.5  # seconds


class Command(BaseCommand):
    help = "Examine configuration, clocks, database, Redis, Daraja and the callback address, and say what to do."
    requires_system_checks: list[str] = []  # what is wrong is what this is for

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--go-live", metavar="PHONE", help="then ask this phone for KES 1 and wait for the callback"
        )
        parser.add_argument("--wait", type=int, default=120, metavar="SECONDS", help="for the callback; 120")

    def handle(self, *args: Any, **options: Any) -> None:
        well = True
        for finding in examine():
            well &= finding.is_well
            self.stdout.write(f"{'well ' if finding.is_well else 'WRONG'}  {finding.about:10} {finding.text}")
            if finding.advice:
                self.stdout.write(f"{'':18}{finding.advice}")
        if well and options["go_live"]:
            well = self._go_live(options["go_live"], options["wait"])
        if not well:
            sys.exit(1)

    def _go_live(self, phone: str, seconds: int) -> bool:
        """Push KES 1 and wait; return whether the callback came and completed the payment."""
        try:
            phone_number = normalise_phone_number(phone)
            order = place_counter_sale(1, what="manage.py doctor --go-live")
            payment = start_checkout(order.pk, phone_number).payment
        except (ValueError, CheckoutRefused) as refusal:
            self.stdout.write(f"WRONG  go-live    no prompt was sent: {refusal}")
            return False
        self.stdout.write(f"       go-live    KES 1 is asked of {mask(phone_number)}; enter the PIN ...")
        return self._wait_for(payment, seconds)

    def _wait_for(self, payment: Transaction, seconds: int) -> bool:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up and not _heard_of(payment):
            time.sleep(LOOK_EVERY)
        payment.refresh_from_db()
        if not _heard_of(payment):
            self.stdout.write(f"WRONG  go-live    no callback came within {seconds} s; the payment is {payment.status}")
            self.stdout.write(f"{'':18}If somebody entered the PIN, Safaricom cannot reach PUBLIC_BASE_URL.")
            return False
        words = f"callback came; {payment.get_status_display()} {payment.reason}".strip()
        is_paid = payment.status == Status.COMPLETED
        self.stdout.write(f"{'well ' if is_paid else 'WRONG'}  go-live    {words}")
        return is_paid


def _heard_of(payment: Transaction) -> bool:
    processed = Callback.objects.filter(transaction_id=payment.pk, trusted=True, state=Callback.State.PROCESSED)
    return processed.exists()
