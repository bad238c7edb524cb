"""The simulator's own record, in an SQLite file of its own: what each phone was asked and really paid.

Several threads and processes share the file. Times are Unix seconds, amounts whole KES. The shop never reads it.
"""

from __future__ import annotations

import fcntl
import os
import queue
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from simulator import configuration

BUSY_TIMEOUT = 10  # seconds
FIRST_BALANCE = 300_000  # KES; pays any single payment

_TABLES = f"""
CREATE TABLE IF NOT EXISTS tokens (
    consumer_key TEXT PRIMARY KEY, token TEXT NOT NULL, issued_at REAL NOT NULL, issued INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS handsets (
    phone_number TEXT PRIMARY KEY, balance INTEGER NOT NULL DEFAULT {FIRST_BALANCE}, is_on INTEGER NOT NULL DEFAULT 1,
    outcome TEXT, delivery TEXT, push TEXT, query TEXT);
CREATE TABLE IF NOT EXISTS prompts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, merchant_request_id TEXT NOT NULL, checkout_request_id TEXT NOT NULL UNIQUE,
    phone_number TEXT NOT NULL, amount INTEGER NOT NULL, account_reference TEXT NOT NULL,
    transaction_desc TEXT NOT NULL, transaction_type TEXT NOT NULL, business_short_code TEXT NOT NULL,
    party_b TEXT NOT NULL, callback_url TEXT NOT NULL, query TEXT NOT NULL,
    pushed_at REAL NOT NULL, is_shown INTEGER NOT NULL,
    planned_outcome TEXT, planned_at REAL,
    outcome TEXT, delivery TEXT, settled_at REAL, told_at REAL, receipt TEXT NOT NULL DEFAULT '',
    queries INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS prompts_planned ON prompts (planned_at) WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS prompts_phone ON prompts (phone_number, id);
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY, refused_at REAL NOT NULL, phone_number TEXT NOT NULL, status INTEGER NOT NULL,
    message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS payments (
    receipt TEXT PRIMARY KEY, prompt_id INTEGER NOT NULL UNIQUE, checkout_request_id TEXT NOT NULL,
    phone_number TEXT NOT NULL, amount INTEGER NOT NULL, account_reference TEXT NOT NULL, party_b TEXT NOT NULL,
    paid_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, prompt_id INTEGER NOT NULL, due_at REAL NOT NULL, body BLOB NOT NULL,
    state TEXT NOT NULL, status INTEGER, problem TEXT NOT NULL DEFAULT '', sent_at REAL);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS deliveries_prompt ON deliveries (prompt_id);
CREATE TABLE IF NOT EXISTS slow_tokens (phone_number TEXT PRIMARY KEY, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, private TEXT NOT NULL, certificate TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS operator_plans (
    kind TEXT PRIMARY KEY, answer TEXT NOT NULL, delivery TEXT NOT NULL, result TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS conversations (
    originator_conversation_id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, kind TEXT NOT NULL,
    receipt TEXT NOT NULL, asked_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS reversals (
    receipt TEXT PRIMARY KEY, original_receipt TEXT NOT NULL UNIQUE, originator_conversation_id TEXT NOT NULL,
    phone_number TEXT NOT NULL, amount INTEGER NOT NULL, reversed_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY, url TEXT NOT NULL, business_short_code TEXT NOT NULL, due_at REAL NOT NULL,
    body BLOB NOT NULL, state TEXT NOT NULL, status INTEGER, problem TEXT NOT NULL DEFAULT '', sent_at REAL);
CREATE TABLE IF NOT EXISTS c2b (
    short_code TEXT PRIMARY KEY, confirmation_url TEXT NOT NULL, validation_url TEXT NOT NULL,
    cancels INTEGER NOT NULL, validates INTEGER NOT NULL DEFAULT 0, copies TEXT NOT NULL DEFAULT 'none');
CREATE INDEX IF NOT EXISTS posts_due ON posts (due_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS payments_paid ON payments (paid_at);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, phone_number TEXT NOT NULL, sent_at REAL NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS messages_phone ON messages (phone_number, id);
"""
_EMPTIED_BY_RESET = (
    *("handsets", "prompts", "refusals", "payments", "deliveries", "messages"),
    *("operator_plans", "conversations", "reversals", "posts", "slow_tokens"),
)


@contextmanager
def reading() -> Iterator[sqlite3.Connection]:
    """Lend an open connection to the record."""
    idle = _idle(configuration.record_path(), os.getpid())
    try:
        connection = idle.get_nowait()
    except queue.Empty:
        connection = _connect(configuration.record_path())
    try:
        yield connection
    finally:
        if connection.in_transaction:
            connection.close()
        else:
            idle.put(connection)


@contextmanager
def writing() -> Iterator[sqlite3.Connection]:
    """Lend a connection inside a transaction that nobody else writes beside; an exception undoes it."""
    with reading() as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def first(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> sqlite3.Row | None:
    """Return the first row. No statement stays open, which would keep the transaction from committing."""
    rows = connection.execute(query, values).fetchall()
    return rows[0] if rows else None


def exists() -> bool:
    return configuration.record_path().is_file()


def reset() -> None:
    """Forget every phone, prompt and payment; Daraja's token stays good."""
    with writing() as db:
        for table in _EMPTIED_BY_RESET:
            db.execute(f"DELETE FROM {table}")  # noqa: S608


@cache
def _idle(path: Path, process_id: int) -> queue.LifoQueue[sqlite3.Connection]:
    """Return the open connections that nobody uses now; never those of a parent process."""
    _create(path)
    return queue.LifoQueue()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _create(path: Path) -> None:
    """Make file and tables, one process at a time: SQLite's busy timeout does not cover the switch to WAL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = _connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_TABLES)
        connection.close()
