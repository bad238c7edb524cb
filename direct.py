"""Statements to the database's driver itself, for those that are executed again and again.

Django binds values on the client: PostgreSQL is sent another text each time, which it parses and plans anew, and each
timestamp that comes back is read by Python. Here the driver binds them, in C; a statement that finds its rows by a key
is told to PostgreSQL once for each connection, and afterwards only its values. The rules of Django's own cursor stay: a
connection is made where there is none, a broken transaction takes no statement, and errors are Django's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Cursor, adapters
from psycopg.errors import FeatureNotSupported
from psycopg.pq import Format

_ATTRIBUTE = "_papo_cursors"


def database() -> BaseDatabaseWrapper:
    """Return this thread's connection itself: `django.db.connection` looks it up for each attribute it is asked for."""
    return connections[DEFAULT_DB_ALIAS]


def rows(sql: str, values: Sequence[Any], *, by_key: bool) -> list[Any]:
    """Run a statement, worded with %s, and return its rows; raises what Django's cursor raises.

    `by_key`: a unique key names what it finds, so that one plan is right for all values. Any other statement is planned
    for its values each time: without them PostgreSQL neither uses a partial index nor knows that nothing is due.
    """
    with _ran(sql, values, by_key) as cursor:
        return list(cursor.fetchall())


def count(sql: str, values: Sequence[Any]) -> int:
    """Run a change of rows that a key names, and return how many it changed; otherwise as `rows`."""
    with _ran(sql, values, True) as cursor:
        return int(cursor.rowcount)


@contextmanager
def _ran(sql: str, values: Sequence[Any], by_key: bool) -> Iterator[Any]:
    mine = database()
    if mine.execute_wrappers or mine.queries_logged:
        # Somebody wants to see or change each statement on its way: only Django's cursor asks them.
        with mine.cursor() as cursor:
            cursor.execute(sql, values)
            yield cursor
        return
    mine.ensure_connection()
    mine.validate_no_broken_transaction()
    with mine.wrap_database_errors:
        yield _executed(mine, sql, values, by_key)


def _executed(mine: BaseDatabaseWrapper, sql: str, values: Sequence[Any], by_key: bool) -> Any:
    driver: Any = mine.connection
    if mine.vendor == "sqlite":
        return driver.execute(_with_question_marks(sql), values)
    # One cursor per statement: psycopg keeps with it how its values are written and its columns read.
    cursors = vars(driver).setdefault(_ATTRIBUTE, {})
    cursor = cursors.get(sql)
    if cursor is None:
        cursor = cursors[sql] = _new_cursor(driver)
    try:
        return cursor.execute(sql, values, prepare=by_key)
    except FeatureNotSupported:
        # A migration has changed a column that the prepared statement returns. In a transaction nothing more can be
        # run; its ROLLBACK has psycopg forget what was prepared, and whoever began it may try again.
        if mine.in_atomic_block:
            raise
        driver.execute("DEALLOCATE ALL")
        return cursor.execute(sql, values, prepare=by_key)


@lru_cache(maxsize=256)
def _with_question_marks(sql: str) -> str:
    return sql.replace("%s", "?").replace("%%", "%")


def _new_cursor(driver: Any) -> Any:
    cursor: Any = Cursor(driver)
    # Django's own reader of timestamps is written in Python; the connection's time zone is UTC all the same.
    oid = adapters.types["timestamptz"].oid
    loader = adapters.get_loader(oid, Format.TEXT)
    if loader is not None:
        cursor.adapters.register_loader(oid, loader)
    return cursor
