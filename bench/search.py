"""How long the desk's searches take at ten thousand, a hundred thousand and a million payments on PostgreSQL.

    python -m tests.services python -m bench.search [payments …]

Prints a table in Markdown: the execution time that EXPLAIN ANALYZE tells, the best of five with warm caches, and the
index that was used at the largest size. Everything is made in the database that tests/services.py starts and ends.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

SIZES = (10_000, 100_000, 1_000_000)
RUNS = 5
PAGE = 100
GAP = 20  # seconds from one payment to the next
FILL = """
INSERT INTO shop_order (id, account_number, status, amount, amount_paid, customer_name, customer_email, language,
                        created_at, fulfilment)
SELECT md5('o' || n)::uuid, upper(lpad(to_hex(n), 8, 'Z')), 'OPEN', 1 + n %% 5000, 0, '', '', 'en',
       now() - n * %(gap)s * interval '1 second', 'to_pack'
FROM generate_series(%(first)s, %(last)s) n;
INSERT INTO payments_transaction (id, order_id, environment, business_short_code, phone_number, amount,
    account_reference, channel, status, reason, settled_by, failed_by, version, merchant_request_id,
    checkout_request_id, result_code, result_desc, mpesa_receipt_number, late, surplus, under_review, earlier_paid,
    found_by_hand, excess, refunded_amount, asked_from, asked_in, created_at, updated_at, expires_at, checks,
    queried_code, prompted_at, completed_at, failed_at)
SELECT md5('t' || n)::uuid, md5('o' || n)::uuid, 'simulator', '174379', '2547' || lpad((n %% 300000)::text, 8, '0'),
    1 + n %% 5000, 'REF' || lpad(n::text, 9, '0'), 'stk', s.status,
    CASE WHEN s.status = 'FAILED' THEN (ARRAY['cancelled','expired','no_response','insufficient_funds'])[1 + n / 7 %% 4]
         ELSE '' END,
    CASE WHEN s.status = 'PENDING' THEN '' WHEN n %% 31 = 0 THEN 'query' WHEN n %% 1009 = 0 THEN 'staff'
         ELSE 'callback' END,
    '', 2, '29115-' || n || '-1', 'ws_CO_' || n, '', '',
    CASE WHEN s.status = 'COMPLETED' THEN 'U' || lpad(n::text, 9, '0') END, false, false, false, false, false, 0, 0,
    '', '', begun, now(), now(), 0, '', begun + interval '1 second',
    CASE WHEN s.status = 'COMPLETED' THEN begun + (n %% 40) * interval '1 second' END,
    CASE WHEN s.status = 'FAILED' THEN begun + (n %% 40) * interval '1 second' END
FROM generate_series(%(first)s, %(last)s) n,
     LATERAL (SELECT CASE WHEN n <= 20 THEN 'PENDING' WHEN n %% 7 = 0 THEN 'FAILED' ELSE 'COMPLETED' END AS status,
                    now() - n * %(gap)s * interval '1 second' AS begun) s;
INSERT INTO payments_transactionevent (transaction_id, version, old_status, new_status, reason, source, note,
                                       result_code, action, created_at)
SELECT md5('t' || n)::uuid, 2, 'PENDING', 'COMPLETED', '', CASE WHEN n %% 200 = 0 THEN 'staff' ELSE 'callback' END, '',
       '', '', now()
FROM generate_series(%(first)s, %(last)s) n;
"""


def main(sizes: tuple[int, ...]) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    found: dict[str, list[float]] = {}
    plans: dict[str, str] = {}
    have = 0
    for size in sizes:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute(FILL, {"first": have + 1, "last": size, "gap": GAP})
            cursor.execute("VACUUM ANALYZE")
        have = size
        for name, milliseconds, plan in _measure(size):
            found.setdefault(name, []).append(milliseconds)
            plans[name] = plan
    print("| Search | " + " | ".join(f"{size:,}" for size in sizes) + " | Index |")
    print("|---|" + "---:|" * len(sizes) + "---|")
    for name, times in found.items():
        print(f"| {name} | " + " | ".join(f"{time:.2f} ms" for time in times) + f" | {plans[name]} |")


def _fill(cursor: Any, *, first: int, last: int) -> None:
    """Insert the payments of these numbers; the indexes are built afterwards, which is several times as fast."""
    cursor.execute("SET statement_timeout = 0")
    cursor.execute("SET session_replication_role = replica")  # no foreign key is looked up for each row
    cursor.execute("SET maintenance_work_mem = '256MB'")
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes JOIN pg_class ON relname = indexname "
        "WHERE tablename IN ('shop_order', 'payments_transaction', 'payments_transactionevent') "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = pg_class.oid)"
    )
    indexes = cursor.fetchall()
    for name, _definition in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    cursor.execute(FILL, {"first": first, "last": last})
    for _name, definition in indexes:
        cursor.execute(definition)
    cursor.execute("VACUUM ANALYZE")


def _measure(size: int) -> Iterator[tuple[str, float, str]]:
    """Yield each search with the milliseconds it took and the indexes of its plan."""
    from payments.admin.common import MOST_COUNTED
    from payments.search import Search

    middle = size // 2
    queries = {
        "everything": {},
        "phone": {"q": f"0712 {middle % 1000:03d} 001"},
        "a phone that pays often": {"q": f"0700 {middle % 300_000:06d}"},
        "receipt": {"q": f"U{middle:09d}"},
        "order number": {"q": f"{middle:x}".rjust(8, "Z")},
        "CheckoutRequestID": {"q": f"ws_CO_{middle}"},
        "a code of nobody": {"q": "NOSUCHCODE"},
        "amount": {"q": "1,234"},
        "waiting": {"status": "PENDING"},
        "not paid": {"status": "FAILED"},
        "a reason": {"reason": "expired"},
        "told by query": {"source": "query"},
        "told by staff": {"source": "staff"},
        "amounts between": {"least": "4990", "most": "4999"},
        "a day": {"from": "2026-11-20", "to": "2026-11-20"},
        "seen to by staff": {"touched": "yes"},
        "not paid, of a phone": {"q": "0700 000 001", "status": "FAILED"},
    }
    for name, query in queries.items():
        yield name, *_measured(lambda query=query: Search.of(query).payments().select_related("order")[:PAGE])
    yield "count for the pages", *_measured(lambda: [Search.of({}).payments().order_by()[:MOST_COUNTED].count()])


def _measured(search: Callable[[], Iterable[Any]]) -> tuple[float, str]:
    """Return the milliseconds of all statements of a search, as EXPLAIN ANALYZE tells them, and the indexes used."""
    from django.db import connection

    asked: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        list(search())
    best, plans = float("inf"), ""
    with connection.cursor() as cursor:
        for _run in range(RUNS):
            plans = ""
            for sql, params in asked:
                cursor.execute(f"EXPLAIN ANALYZE {sql}", params)
                plans += "\n".join(line for (line,) in cursor.fetchall())
            times = re.findall(r"Execution Time: ([0-9.]+) ms", plans)
            best = min(best, sum(float(time) for time in times))
    used = re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", plans)
    return best, ", ".join(dict.fromkeys(used)) or "none"


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
