"""The faults, by their numbers: each breaks something for some seconds, and heals it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.proxy import Mode
from tests.server import REPOSITORY

Injection = Callable[[Cluster], AbstractContextManager[None]]
PAID_ONCE = {"outcome": "paid", "delivery": "once"}
MIXED = [
    PAID_ONCE,
    {"outcome": "paid", "delivery": "twice"},
    {"outcome": "cancelled", "delivery": "once"},
    {"outcome": "paid", "delivery": "lost"},
    {"outcome": "paid", "delivery": "before_answer"},
    {"outcome": "paid", "delivery": "out_of_order"},
]


@dataclass(frozen=True)
class Fault:
    """One way to break Papo. `needs`: "services" (PostgreSQL and Redis), "sqlite", "two" workers, or nothing."""

    number: str
    what: str
    inject: Injection
    plans: tuple[dict[str, str], ...] = tuple(MIXED)
    needs: frozenset[str] = frozenset()
    pages_lose_network: bool = False


@contextmanager
def _nothing(cluster: Cluster) -> Iterator[None]:
    """The network and Daraja misbehave by the customers' plans alone."""
    time.sleep(1)
    yield


def _mode(of: str, mode: Mode, seconds: float) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        proxy = getattr(cluster, of)
        proxy.become(mode)
        try:
            time.sleep(seconds)
            yield
        finally:
            proxy.become(Mode.PASS)

    return inject


@contextmanager
def _killed_workers(cluster: Cluster) -> Iterator[None]:
    """Kill every worker once in the middle of what it does, one after the other."""
    for worker in cluster.workers:
        time.sleep(0.8)
        worker.kill()
        worker.start()
    yield


@contextmanager
def _rolling_restart(cluster: Cluster) -> Iterator[None]:
    for worker in cluster.workers:
        worker.restart()
    yield


def _frozen(seconds: float) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        cluster.signal(0, signal.SIGSTOP)
        try:
            time.sleep(seconds)
            yield
        finally:
            cluster.signal(0, signal.SIGCONT)

    return inject


@contextmanager
def _flushed_redis(cluster: Cluster) -> Iterator[None]:
    client = redis.Redis.from_url(cluster.urls["REDIS_URL"])
    for _time in range(3):
        client.flushall()
        client.client_kill_filter(_type="pubsub")
        client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.7)
    yield


@contextmanager
def _terminated_backends(cluster: Cluster) -> Iterator[None]:
    with psycopg.connect(cluster.urls["DATABASE_URL"], autocommit=True) as connection:
        for _time in range(5):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
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


def fault(number: str) -> Fault:
    """Return the fault of that number."""
    return next(each for each in FAULTS if each.number == number)


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
def _three_sweepers(cluster: Cluster) -> Iterator[None]:
    """Run three more reconcilers and kill one of them in the middle."""
    environment = {**os.environ, **cluster.workers[0].settings}
    command = [sys.executable, "manage.py", "reconcile_payments", "--loop"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    sweepers = [subprocess.Popen(command, cwd=REPOSITORY, env=environment, **quiet) for _ in range(3)]  # type: ignore[call-overload]
    try:
        time.sleep(6)
        sweepers[0].kill()
        yield
    finally:
        for sweeper in sweepers:
            sweeper.terminate()
            sweeper.wait(timeout=20)


@contextmanager
def _locked_sqlite(cluster: Cluster) -> Iterator[None]:
    """Write to the database and take four seconds over it."""
    import sqlite3

    path = Path(cluster.directory / "shop.sqlite3")
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")  # nobody writes
        time.sleep(4)
        connection.execute("ROLLBACK")
    yield


@contextmanager
def _revoked_token(cluster: Cluster) -> Iterator[None]:
    """Fetch tokens as a stranger with the same key does: each kills the one that the shop uses."""
    import requests

    from tests.faults.rig.cluster import CREDENTIALS

    key = (CREDENTIALS["MPESA_CONSUMER_KEY"], CREDENTIALS["MPESA_CONSUMER_SECRET"])
    url = f"{cluster.simulator_url}/oauth/v1/generate?grant_type=client_credentials"
    for _time in range(8):
        requests.get(url, auth=key, timeout=5).raise_for_status()
        time.sleep(0.4)
    yield


@contextmanager
def _cut_each_second(cluster: Cluster) -> Iterator[None]:
    for _time in range(6):
        time.sleep(1)
        cluster.shop.cut()
    yield


def _plan(delivery: str, outcome: str = "paid", **more: str) -> dict[str, str]:
    return {"outcome": outcome, "delivery": delivery, **more}


SERVICES, TWO = frozenset({"services"}), frozenset({"two"})
FAULTS = [
    Fault("F0", "nothing breaks, and some customers forge their success", _nothing,
          (PAID_ONCE, _plan("once", "cancelled", forges="yes"))),
    Fault("F1", "workers killed with -9 in the middle", _killed_workers),
    Fault("F2", "rolling restart of two workers", _rolling_restart, needs=TWO),
    Fault("F3", "a worker frozen for 6 s", _frozen(6)),
    Fault("F4a", "Redis flushed, its clients killed", _flushed_redis, needs=SERVICES),
    Fault("F4b", "Redis refuses for 5 s", _mode("redis", Mode.RESET, 5), needs=SERVICES),
    Fault("F4c", "Redis stalled for 6 s", _mode("redis", Mode.BLACKHOLE, 6), needs=SERVICES),
    Fault("F6a", "PostgreSQL's backends terminated again and again", _terminated_backends, needs=SERVICES),
    Fault("F6b", "PostgreSQL out of reach for 6 s", _mode("database", Mode.RESET, 6), needs=SERVICES),
    Fault("F6c", "PostgreSQL stalled for 6 s", _mode("database", Mode.BLACKHOLE, 6), needs=SERVICES),
    Fault("F7a", "PostgreSQL read-only for 4 s", _read_only_database, needs=SERVICES),
    Fault("F7b", "tables locked for 4 s", _locked_tables, needs=SERVICES),
    Fault("F10", "SQLite locked by another writer for 4 s", _locked_sqlite, needs=frozenset({"sqlite"})),
    Fault("F11", "every callback lost", _nothing, (_plan("lost"), _plan("lost", query="flaky"))),
    Fault("F12", "callbacks three times at once", _nothing, (_plan("three_times"), _plan("twice"))),
    Fault("F13", "failure before success, success before the push's answer", _nothing,
          (_plan("out_of_order"), _plan("before_answer"), _plan("contradicted"))),
    Fault("F14", "callbacks 6 s late", _nothing, (_plan("late"),)),
    Fault("F17a", "the push's answer lost after Daraja accepted", _nothing,
          (_plan("once", push="lost"), _plan("once", push="gateway"))),
    Fault("F17b", "Daraja's answers cut off for 4 s", _mode("daraja", Mode.NO_ANSWERS, 4)),
    Fault("F17c", "Daraja out of reach for 4 s", _mode("daraja", Mode.RESET, 4)),
    Fault("F18", "queries flaky, classic, odd", _nothing,
          (_plan("lost", query="flaky"), _plan("lost", query="classic"), _plan("lost", query="odd"))),
    Fault("F19", "the OAuth token revoked again and again", _revoked_token),
    Fault("F20a", "customers and Daraja cut off for 5 s", _mode("shop", Mode.RESET, 5), pages_lose_network=True),
    Fault("F20b", "half-open for 5 s: nothing comes, nothing closes", _mode("shop", Mode.HALF_OPEN, 5),
          pages_lose_network=True),
    Fault("F20c", "a slow network", _mode("shop", Mode.SLOW, 5)),
    Fault("F20d", "a few bytes at a time", _mode("shop", Mode.SLICED, 5)),
    Fault("F23", "sockets and requests cut off each second", _cut_each_second),
    Fault("F26", "three more reconcilers, one killed", _three_sweepers),
]  # fmt: skip
