"""How long statements take on PostgreSQL at ten thousand, a hundred thousand and a million payments.

What EXPLAIN ANALYZE tells of all statements of a look together, the best of five with warm caches. Everything is made
in the database that tests/services.py starts and ends.
"""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

SIZES = (10_000, 100_000, 1_000_000)
RUNS = 5
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
    queried_code, prompted_at, completed_at, failed_at, touched)
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
    CASE WHEN s.status = 'FAILED' THEN begun + (n %% 40) * interval '1 second' END, n %% 200 = 0
FROM generate_series(%(first)s, %(last)s) n,
     LATERAL (SELECT CASE WHEN n <= 20 THEN 'PENDING' WHEN n %% 7 = 0 THEN 'FAILED' ELSE 'COMPLETED' END AS status,
                    now() - n * %(gap)s * interval '1 second' AS begun) s;
INSERT INTO payments_transactionevent (transaction_id, version, old_status, new_status, reason, source, note,
                                       result_code, action, created_at)
SELECT md5('t' || n)::uuid, 2, 'PENDING', 'COMPLETED', '', CASE WHEN n %% 200 = 0 THEN 'staff' ELSE 'callback' END, '',
       '', '', now()
FROM generate_series(%(first)s, %(last)s) n;
"""
TABLES = ("shop_order", "payments_transaction", "payments_transactionevent")

Looks = dict[str, Callable[[], Any]]
LONGEST_LINE = 400  # characters of a plan's line that are written down; a list of 200 ids is longer


@dataclass(frozen=True)
class Explained:
    """What one look costs. `milliseconds`: of all its statements; `plans`: each statement with its plan."""

    milliseconds: float
    plans: list[tuple[str, str]]

    @property
    def used(self) -> str:
        """What it reads: indexes, and tables from end to end."""
        plans = "\n".join(plan for _sql, plan in self.plans)
        used = re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", plans)
        used += [f"all of {table}" for table in re.findall(r"Seq Scan on (\w+)", plans)]
        return ", ".join(dict.fromkeys(used))


def compare(
    looks_at: Callable[[int], Looks],
    arguments: list[str],
    *,
    what: str,
    gap: float,
    and_fill: str = "",
) -> None:
    """Print a table of the looks at each size; `gap`: seconds from one payment to the next.

    `arguments`: sizes, none for all; after `--plans` the file that the plans are written into.
    """
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    sizes, into = _read_arguments(arguments)
    found: dict[str, list[Explained]] = {}
    have = 0
    for size in sizes:
        with connection.cursor() as cursor:
            fill(cursor, FILL + and_fill, {"first": have + 1, "last": size, "gap": gap})
        have = size
        for name, look in looks_at(size).items():
            found.setdefault(name, []).append(_explained(look))
    print("\n".join(_table(what, sizes, found)))
    if into:
        into.write_text("\n".join(_written(sizes, found)) + "\n")


def _read_arguments(arguments: list[str]) -> tuple[list[int], Path | None]:
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int)
    parser.add_argument("--plans", type=Path)
    read = parser.parse_args(arguments)
    return read.sizes or list(SIZES), read.plans


def _table(what: str, sizes: list[int], found: dict[str, list[Explained]]) -> list[str]:
    lines = [f"| {what} | " + " | ".join(f"{size:,}" for size in sizes) + " | Indexes |"]
    lines.append("|---|" + "---:|" * len(sizes) + "---|")
    for name, looks in found.items():
        times = " | ".join(f"{look.milliseconds:.2f} ms" for look in looks)
        lines.append(f"| {name} | {times} | {looks[-1].used} |")
    return lines


def _written(sizes: list[int], found: dict[str, list[Explained]]) -> list[str]:
    """Return every statement once, and below it its plan at each size."""
    lines = []
    for name, looks in found.items():
        lines += ["", f"## {name[:1].upper()}{name[1:]}"]
        for number, (sql, _plan) in enumerate(looks[-1].plans):
            lines += ["", "```sql", *textwrap.wrap(sql, 118, break_long_words=False), "```"]
            for size, look in zip(sizes, looks, strict=True):
                if number < len(look.plans):
                    plan = [line[:LONGEST_LINE] for line in look.plans[number][1].splitlines()]
                    lines += ["", f"{size:,} payments:", "", "```", *plan, "```"]
    return lines


def fill(cursor: Any, statements: str, numbers: dict[str, Any]) -> None:
    """Insert the payments of these numbers; the indexes are built afterwards, which is several times as fast."""
    cursor.execute("SET statement_timeout = 0")
    cursor.execute("SET session_replication_role = replica")  # no foreign key is looked up for each row
    cursor.execute("SET maintenance_work_mem = '256MB'")
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes JOIN pg_class ON relname = indexname WHERE tablename = ANY(%s) "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = pg_class.oid)",
        [list(TABLES)],
    )
    indexes = cursor.fetchall()
    for name, _definition in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    cursor.execute(statements, numbers)
    for _name, definition in indexes:
        cursor.execute(definition)
    cursor.execute("VACUUM ANALYZE")


def _explained(look: Callable[[], Any]) -> Explained:
    """Return what all statements of a look take together, the best of some runs."""
    from django.db import connection

    asked: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        look()
    runs = [_once(asked) for _run in range(RUNS)]
    return min(runs, key=lambda run: run.milliseconds)


def _once(asked: list[tuple[str, Any]]) -> Explained:
    plans = [(sql, _plan(sql, params)) for sql, params in asked]
    times = (re.findall(r"Execution Time: ([0-9.]+) ms", plan) for _sql, plan in plans)
    return Explained(sum(float(time) for (time,) in times), plans)


def _plan(sql: str, params: Any) -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ANALYZE {sql}", params)
        return "\n".join(line for (line,) in cursor.fetchall())
