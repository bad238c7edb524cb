"""Close a day, for cron shortly after midnight: read M-PESA's list, compare, and write the letter about it."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from commands import DatabaseCommand
from payments.books.day import Day, close_day


class Command(DatabaseCommand):
    help = "Compare a day with M-PESA's record and mail the summary to BOOKS_EMAIL; yesterday unless --day is given."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="the day in Nairobi, such as 2026-11-25")
        parser.add_argument("--pull", action="store_true", help="read M-PESA's list of the last 48 hours first")

    def handle(self, *args: Any, **options: Any) -> None:
        day = options["day"] or timezone.localdate() - timedelta(days=1)
        summary = close_day(day, pulls=options["pull"])
        self.stdout.write(
            f"{day}: ours {summary.ours.payments} payments, KES {summary.ours.amount:,.2f}; "
            f"M-PESA's {summary.theirs.payments}, KES {summary.theirs.amount:,.2f}; "
            f"{summary.still_open} findings open. {_verdict(summary)}"
        )


def _verdict(day: Day) -> str:
    if day.still_open:
        return "The books do not match yet."
    if not day.is_covered:
        return "M-PESA's record has not been read for the whole day: import the statement, then the books are compared."
    if day.ours.payments == day.theirs.payments == 0:
        return "The books match: neither has a payment."
    return "The books match."
