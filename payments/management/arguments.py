"""What the commands of payments read from their command line."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta

LONGEST = 36_500  # days


def add_older_than(parser: ArgumentParser) -> None:
    parser.add_argument("--older-than", type=_days, required=True, metavar="DAYS", help="a whole number of days")


def _days(text: str) -> timedelta:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= LONGEST):
        raise ArgumentTypeError(f"DAYS must be a whole number from 1 to {LONGEST}")
    return timedelta(days=int(text))
