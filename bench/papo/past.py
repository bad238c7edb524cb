"""Give Papo's PostgreSQL a past: `python -m bench.papo.past <first> <last>` writes the payments of these numbers."""

from __future__ import annotations

import os
import sys

import django

from bench.plans import FILL, fill

GAP = 2.592  # seconds from one payment to the next: 1,000,000 in 30 days

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    from django.db import connection

    with connection.cursor() as cursor:
        fill(cursor, FILL, {"first": int(sys.argv[1]), "last": int(sys.argv[2]), "gap": GAP})
