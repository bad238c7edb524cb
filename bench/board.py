"""How long the board's counts take at ten thousand, a hundred thousand and a million payments on PostgreSQL.

    python -m tests.services python -m bench.board [payments …]

A payment every 2.6 seconds, 33,000 a day: the shop is equally busy at each size, only its past is longer. Prints what
EXPLAIN ANALYZE tells of all queries of a count together, the best of five, and the indexes that they used.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from bench.search import FILL, SIZES

RUNS = 5
GAP = 2.592  # seconds from one payment to the next: 1,000,000 in 30 days
TOLD = """
INSERT INTO payments_callback (dedup_key, environment, transaction_id, trusted, body, digest, checkout_request_id,
                               state, outcome, copies, attempts, received_at)
SELECT md5('c' || n), 'simulator', md5('t' || n)::uuid, true, '{}', '', '', 'processed', '', 1, 0,
       now() - n * %(gap)s * interval '1 second'
FROM generate_series(%(first)s, %(last)s) n;
INSERT INTO payments_delivery (transaction_id, version, received_at, committed_at, sent_at, painted_at, channel,
                               watched)
SELECT id, 2, completed_at, completed_at, completed_at, completed_at + interval '30 milliseconds', 'socket', true
FROM payments_transaction WHERE status = 'COMPLETED' AND id NOT IN (SELECT transaction_id FROM payments_delivery);
"""


def main(sizes: tuple[int, ...]) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    found: dict[str, list[float]] = {}
    used: dict[str, str] = {}
    have = 0
    for size in sizes:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute(FILL + TOLD, {"first": have + 1, "last": size, "gap": GAP})
            cursor.execute("VACUUM ANALYZE")
        have = size
        for name, milliseconds, indexes in _measure():
            found.setdefault(name, []).append(milliseconds)
            used[name] = indexes
    print("| Count | " + " | ".join(f"{size:,}" for size in sizes) + " | Indexes |")
    print("|---|" + "---:|" * len(sizes) + "---|")
    for name, times in found.items():
        print(f"| {name} | " + " | ".join(f"{value:.1f} ms" for value in times) + f" | {used[name]} |")


def _measure() -> Iterator[tuple[str, float, str]]:
    """Yield each count with the milliseconds it took and the indexes of its plans."""
    from payments.search import Search
    from realtime.board import attention, rows, statistics

    counts: dict[str, Callable[[], Any]] = {
        "today, last hour, waiting": statistics.count_now,
        "yesterday up to now": statistics.count_yesterday,
        "the last 60 minutes": statistics.count_minutes,
        "time to confirm and its parts": statistics.count_times,
        "refused, silent, overdue": statistics.count_lately,
        "last callback": statistics.last_callback,
        "needs attention": attention.load,
        "the newest 200": lambda: rows.newest(Search()),
        "25 that have changed": lambda: rows.among(Search(), [row.pk for row in rows.newest(Search())[:25]]),
        "the gap since a cursor": lambda: rows.changed_since(rows.end_of_history() - 100),
    }
    for name, count in counts.items():
        yield name, *_explained(count)


def _explained(count: Callable[[], Any]) -> tuple[float, str]:
    """Return the best sum of the execution times of a count's queries, and what they read."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        count()
    best, used = float("inf"), {}
    for _run in range(RUNS):
        took = 0.0
        for query in captured.captured_queries:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN ANALYZE " + query["sql"])
                plan = "\n".join(row[0] for row in cursor.fetchall())
            took += float(re.findall(r"Execution Time: ([0-9.]+) ms", plan)[0])
            used |= dict.fromkeys(re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", plan))
            used |= dict.fromkeys(f"all of {table}" for table in re.findall(r"Seq Scan on (\w+)", plan))
        best = min(best, took)
    return best, ", ".join(used)


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
