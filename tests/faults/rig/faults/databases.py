"""Faults of PostgreSQL and of SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import SERVICES, SQLITE, Fault, mode
from tests.faults.rig.proxy import Mode


@contextmanager
def _terminated_backends(cluster: Cluster) -> Iterator[None]:
    with psycopg.connect(cluster.urls["DATABASE_URL"], autocommit=True) as connection:
        for _time in range(5):
            _end_sessions(connection)
            time.sleep(0.6)
    yield


@contextmanager
def _read_only_database(cluster: Cluster) -> Iterator[None]:
    name = urlsplit(cluster.urls["DATABASE_URL"]).path[1:]
    with psycopg.connect(cluster.urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        _end_sessions(connection)
        try:
            time.sleep(4)
            yield
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            _end_sessions(connection)


def _end_sessions(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@contextmanager
def _locked_tables(cluster: Cluster) -> Iterator[None]:
    with psycopg.connect(cluster.urls["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE payments_transaction, shop_order IN ACCESS EXCLUSIVE MODE")
        time.sleep(4)
        connection.rollback()
    yield


@contextmanager
def _locked_sqlite(cluster: Cluster) -> Iterator[None]:
    """Write to the database and take four seconds over it."""
    path = Path(cluster.directory / "shop.sqlite3")
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")  # nobody writes
        time.sleep(4)
        connection.execute("ROLLBACK")
    yield


FAULTS = [
    Fault("F6a", "PostgreSQL's backends terminated again and again", _terminated_backends, needs=SERVICES),
    Fault("F6b", "PostgreSQL out of reach for 6 s", mode("database", Mode.RESET, 6), needs=SERVICES),
    Fault("F6c", "PostgreSQL stalled for 6 s", mode("database", Mode.BLACKHOLE, 6), needs=SERVICES),
    Fault("F7a", "PostgreSQL read-only for 4 s", _read_only_database, needs=SERVICES),
    Fault("F7b", "tables locked for 4 s", _locked_tables, needs=SERVICES),
    Fault("F10", "SQLite locked by another writer for 4 s", _locked_sqlite, needs=SQLITE),
]  # fmt: skip
