"""Who writes to SQLite's file next: nobody is overtaken, and no turn is lost."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.db.transaction import atomic

import sqlite_turns
from sqlite_turns import Connection

MANY = 6  # who wait: enough for SQLite's own way to have somebody overtaken nearly always
PATIENCE = 20.0  # seconds


def only_sqlite(test: Any) -> Any:
    """Leave a test out on PostgreSQL; a skipped test would be a failed one."""
    return test if connection.vendor == "sqlite" else None


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Connection]]:
    opened: list[Connection] = []

    def connect(timeout: float = PATIENCE) -> Connection:
        options: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}
        opened.append(Connection(str(tmp_path / "shop.sqlite3"), timeout, **options))
        return opened[-1]

    connect().execute("CREATE TABLE sold (sku TEXT UNIQUE)")
    yield connect
    for each in opened:
        each.close()


def _in_line(turns: sqlite_turns.Turns, length: int) -> None:
    """Wait until so many stand in the line."""
    give_up = time.monotonic() + PATIENCE
    while len(turns._line) < length:
        assert time.monotonic() < give_up, "nobody came into the line"
        time.sleep(0.001)


def _come_one_by_one(turns: sqlite_turns.Turns, write: Callable[[int], None]) -> list[threading.Thread]:
    """Start threads that write, each when the one before it stands in the line."""
    threads = [threading.Thread(target=write, args=[number], daemon=True) for number in range(MANY)]
    for number, thread in enumerate(threads):
        thread.start()
        _in_line(turns, number + 1)
    return threads


def _all_end(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_whoever_asked_first_writes_first(connect: Callable[..., Connection]) -> None:
    first, wrote = connect(), []

    def write(number: int) -> None:
        mine = connect()
        mine.execute("BEGIN IMMEDIATE")
        wrote.append(number)
        mine.commit()

    first.execute("BEGIN IMMEDIATE")
    threads = _come_one_by_one(first._turns, write)
    first.commit()
    _all_end(threads)
    assert wrote == list(range(MANY))


@only_sqlite
@pytest.mark.django_db(transaction=True)
def test_the_shops_own_transactions_take_turns() -> None:
    wrote: list[int] = []

    def write(number: int) -> None:
        try:
            with atomic():
                wrote.append(number)
        finally:
            connections.close_all()

    connection.ensure_connection()
    with atomic():
        threads = _come_one_by_one(connection.connection._turns, write)
    _all_end(threads)
    assert wrote == list(range(MANY))


def test_a_single_statement_waits_in_the_line_too(connect: Callable[..., Connection]) -> None:
    first, second, sold = connect(), connect(), "INSERT INTO sold VALUES (?) RETURNING sku"
    first.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=lambda: second.execute(sold, ["a"]).fetchall(), daemon=True)
    thread.start()
    _in_line(first._turns, 1)
    first.execute(sold, ["b"])
    first.commit()
    _all_end([thread])
    assert [row for (row,) in first.execute("SELECT sku FROM sold ORDER BY rowid")] == ["b", "a"]


def test_reading_takes_no_turn(connect: Callable[..., Connection]) -> None:
    first, second = connect(), connect(0.0)
    first.execute("PRAGMA journal_mode=WAL")
    first.execute("BEGIN IMMEDIATE")
    assert second.execute("SELECT count(*) FROM sold").fetchone() == (0,)


def test_whose_turn_does_not_come_is_told_what_sqlite_tells_and_leaves_the_line(
    connect: Callable[..., Connection],
) -> None:
    first, hasty = connect(), connect(0.01)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        hasty.execute("BEGIN IMMEDIATE")
    first.rollback()
    hasty.execute("INSERT INTO sold VALUES ('a')")
    assert not first._turns._is_taken


def test_a_turn_during_which_another_process_writes_is_given_back(
    connect: Callable[..., Connection], tmp_path: Path
) -> None:
    hasty = connect(0.01)
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3", isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            hasty.execute("BEGIN IMMEDIATE")
    assert not hasty._turns._is_taken


def _refused(mine: Connection) -> None:
    mine.execute("INSERT INTO sold VALUES ('a')")
    with pytest.raises(sqlite3.IntegrityError):
        mine.execute("INSERT INTO sold VALUES ('a')")


def _many_rows(mine: Connection) -> None:
    mine.cursor().executemany("INSERT INTO sold VALUES (?)", [["a"], ["b"]])


def _rolled_back(mine: Connection) -> None:
    mine.execute("BEGIN IMMEDIATE")
    mine.rollback()


def _closed_half_way(mine: Connection) -> None:
    mine.execute("BEGIN IMMEDIATE")
    mine.close()


@pytest.mark.parametrize("use", [_refused, _many_rows, _rolled_back, _closed_half_way])
def test_every_end_gives_the_turn_back(use: Callable[[Connection], None], connect: Callable[..., Connection]) -> None:
    mine = connect()
    use(mine)
    assert not mine._turns._is_taken


def test_a_thread_that_dies_in_the_middle_gives_its_turn_back(tmp_path: Path) -> None:
    mine = Connection(str(tmp_path / "dies.sqlite3"), PATIENCE, isolation_level=None)
    turns = mine._turns
    mine.execute("BEGIN IMMEDIATE")
    assert turns._is_taken
    del mine
    gc.collect()
    assert not turns._is_taken
