"""Faults of PostgreSQL and of SQLite."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import psycopg

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import DISKS, SERVICES, SQLITE, Fault, Injection, mode, nothing
from tests.faults.rig.machines import family, full
from tests.faults.rig.proxy import Mode


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


def _end_sessions(connection: psycopg.Connection[tuple[object, ...]], *, but: str = "") -> None:
    """End everybody's session but our own and those of the application named `but`."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> %s",
        [but],
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
    with sqlite3.connect(cluster.machines.sqlite, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")  # nobody writes
        time.sleep(4)
        connection.execute("ROLLBACK")
    yield


@contextmanager
def _crashed_postgresql(cluster: Cluster) -> Iterator[None]:
    """End it as `pg_ctl -m immediate` does, and start it again: it recovers from its log."""
    assert cluster.machines.postgresql
    cluster.machines.postgresql.end(signal.SIGQUIT)
    cluster.machines.postgresql.start()
    yield


@contextmanager
def _killed_backends(cluster: Cluster) -> Iterator[None]:
    """Kill one backend with -9, twice; PostgreSQL then throws all others out and recovers."""
    for _time in range(2):
        with psycopg.connect(cluster.urls["DATABASE_URL"], connect_timeout=5) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        time.sleep(2)
    yield


def _terminated_every(seconds: float, times: int) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        with psycopg.connect(cluster.urls["DATABASE_URL"], autocommit=True) as connection:
            for _time in range(times):
                _end_sessions(connection)
                time.sleep(seconds)
        yield

    return inject


@contextmanager
def _frozen_postgresql(cluster: Cluster) -> Iterator[None]:
    assert cluster.machines.postgresql
    frozen = family(cluster.machines.postgresql.pid)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(10)
        yield
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _no_connection_left(cluster: Cluster) -> Iterator[None]:
    """Take every connection that PostgreSQL has to give, those of the shop included, for four seconds."""
    with ExitStack() as taken, psycopg.connect(cluster.urls["DATABASE_URL"], autocommit=True) as connection:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            _take_all_connections(cluster, taken)
            _end_sessions(connection, but="taker")
            time.sleep(0.3)
    yield


@contextmanager
def _full_disk(cluster: Cluster) -> Iterator[None]:
    """Leave the database no byte for five seconds; PostgreSQL may end by that and is started again, as by systemd."""
    with full(cluster.machines.disk):
        time.sleep(5)
    _start_again(cluster)
    yield
    _check_integrity(cluster)


@contextmanager
def _full_disk_and_spool(cluster: Cluster) -> Iterator[None]:
    """Leave database and spool no byte: nothing can keep a callback, and it is refused."""
    with full(cluster.machines.disk), full(cluster.machines.spool):
        time.sleep(5)
    _start_again(cluster)
    yield
    _check_integrity(cluster)


def _start_again(cluster: Cluster) -> None:
    postgresql = cluster.machines.postgresql
    if postgresql is not None and not postgresql.is_alive:
        postgresql.end()
        postgresql.start()


@contextmanager
def _file_limit(cluster: Cluster) -> Iterator[None]:
    """Let no file of the workers grow for five seconds (`ulimit -f`): writes end with EFBIG. Needs no root."""
    size = max(path.stat().st_size for path in cluster.machines.disk.iterdir() if path.is_file())
    pids = [worker.process.pid for worker in cluster.workers if worker.process]
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(size, 4096), hard))
    try:
        time.sleep(5)
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    _check_integrity(cluster)


def _check_integrity(cluster: Cluster) -> None:
    """Look whether the file of SQLite is damaged. PostgreSQL checks its own pages as it reads them for the verdict."""
    if not cluster.urls:
        with sqlite3.connect(cluster.machines.sqlite) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            cluster.found.append(f"the database is damaged: {found}")


@contextmanager
def _read_only_disk(cluster: Cluster) -> Iterator[None]:
    """Restart every worker on a disk that has become read-only, and heal it after six seconds."""
    for worker in cluster.workers:
        worker.kill()
    _remount(cluster, "ro")
    try:
        for worker in cluster.workers:
            worker.start(wait=False)
        time.sleep(6)
    finally:
        _remount(cluster, "rw")
        for worker in cluster.workers:
            if worker.process is None or worker.process.poll() is not None:
                worker.start(wait=False)  # as its supervisor would
            worker.wait_until_ready()
    yield
    _check_integrity(cluster)


def _remount(cluster: Cluster, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(cluster.machines.disk)], check=True)


def _take_all_connections(cluster: Cluster, taken: ExitStack) -> None:
    with suppress(psycopg.OperationalError):
        for _connection in range(250):
            taken.enter_context(psycopg.connect(cluster.urls["DATABASE_URL"], application_name="taker"))


FAULTS = [
    Fault("F6a", "PostgreSQL's backends terminated again and again", _terminated_every(0.6, 5), needs=SERVICES),
    Fault("F6b", "PostgreSQL out of reach for 6 s", mode("database", Mode.RESET, 6), needs=SERVICES),
    Fault("F6c", "PostgreSQL stalled by its network for 6 s", mode("database", Mode.BLACKHOLE, 6), needs=SERVICES),
    Fault("F6d", "PostgreSQL crashes (immediate) and recovers", _crashed_postgresql, needs=SERVICES),
    Fault("F6e", "a backend killed with -9, twice", _killed_backends, needs=SERVICES),
    Fault("F6f", "backends terminated every 2 s", _terminated_every(2, 4), needs=SERVICES),
    Fault("F6g", "PostgreSQL frozen for 10 s", _frozen_postgresql, needs=SERVICES, is_long=True),
    Fault("F7a", "PostgreSQL read-only for 4 s", _read_only_database, needs=SERVICES),
    Fault("F7b", "tables locked for 4 s", _locked_tables, needs=SERVICES),
    Fault("F7c", "no connection left at PostgreSQL for 4 s", _no_connection_left, needs=SERVICES),
    Fault("F8a", "the database's disk full for 5 s", _full_disk, needs=DISKS),
    Fault("F8b", "the disks of database and spool full for 5 s", _full_disk_and_spool, needs=DISKS, may_refuse=True),
    Fault("F8c", "SQLite's files may not grow for 5 s", _file_limit, needs=SQLITE, may_refuse=True),
    Fault("F9", "workers restarted on a read-only disk", _read_only_disk, needs=SQLITE | DISKS),
    Fault("F10a", "SQLite locked by another writer for 4 s", _locked_sqlite, needs=SQLITE),
    Fault("F10b", "four processes on one SQLite, 20 payments a second", nothing, needs=SQLITE | {"four"},
          customers=80, refuses_nobody=True),
]  # fmt: skip
