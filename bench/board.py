"""How long the board's counts take: `python -m tests.services python -m bench.board [--plans FILE] [payments …]`.

A payment every 2.6 seconds, 33,000 a day: the shop is equally busy at each size, only its past is longer.
"""

from __future__ import annotations

import sys

from bench.plans import Looks, compare

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


def looks_at(size: int) -> Looks:
    """Return the board's counts."""
    from payments.search import Search
    from realtime.board import attention, rows, statistics

    return {
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


if __name__ == "__main__":
    compare(looks_at, sys.argv[1:], what="Count", gap=GAP, and_fill=TOLD)
