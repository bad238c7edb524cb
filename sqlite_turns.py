"""Who writes to SQLite's file next: within a process, whoever asked first.

One connection writes at a time. Those that wait for it SQLite has look again after pauses that grow to a tenth of a
second, so that the file rests in between, and whoever has just come looks soonest: under a burst of orders a few of
them find it taken for all of their 20 seconds. Here threads wait in one line and are called when it is their turn.
Between processes SQLite's own way remains, with one of each process in it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

# As Django words them. What writes and begins otherwise takes no turn and waits in SQLite's own way.
WRITES = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER")


class Turns:
    """One line of threads, each called by the one before it."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a dead thread's connection may be collected, and give back, inside it
        self._is_taken = False
        self._line: deque[threading.Lock] = deque()

    def take(self, *, timeout: float) -> bool:
        """Wait for the turn; False when it has not come within `timeout` seconds."""
        called = threading.Lock()
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            called.acquire()
            self._line.append(called)
        return called.acquire(timeout=timeout) or not self._leave_line(called)

    def _leave_line(self, called: threading.Lock) -> bool:
        """Return whether it was still in the line; if not, its turn has come at this very moment."""
        with self._guard:
            if called not in self._line:
                return False
            self._line.remove(called)
            return True

    def give_back(self) -> None:
        """Call the next one in the line; nobody in between can take the turn away."""
        with self._guard:
            if self._line:
                self._line.popleft().release()
            else:
                self._is_taken = False


_turns: defaultdict[str, Turns] = defaultdict(Turns)  # one line per file


class Connection(sqlite3.Connection):
    """SQLite's connection, whose transactions and single statements write in turn; the `factory` of Django's."""

    has_turn = False

    def __init__(self, database: str, timeout: float = 5.0, **options: Any) -> None:
        super().__init__(database, timeout, **options)
        self._turns, self._patience = _turns[database], timeout

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        return super().cursor(_in_turn(factory))

    def execute(self, sql: str, *values: Any) -> Any:
        return self.cursor().execute(sql, *values)  # the driver's own would make a cursor that takes no turn

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            self._give_back_unless_in_transaction()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._give_back_unless_in_transaction()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._give_back()

    def __del__(self) -> None:
        self._give_back()  # of a thread that has ended in the middle of a transaction, which ends with it

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn and keep it for a statement, or for the transaction that it begins or belongs to.

        Raises what SQLite raises when the file cannot be had in time.
        """
        if not self.has_turn:
            if not self._turns.take(timeout=self._patience):
                raise sqlite3.OperationalError("database is locked")
            self.has_turn = True
        try:
            yield
        finally:
            self._give_back_unless_in_transaction()

    def _give_back_unless_in_transaction(self) -> None:
        if not self.in_transaction:
            self._give_back()

    def _give_back(self) -> None:
        if self.has_turn:
            self.has_turn = False
            self._turns.give_back()


class _InTurn(sqlite3.Cursor):
    connection: Connection

    def execute(self, sql: str, *values: Any) -> Any:
        if not sql.startswith(WRITES):
            return super().execute(sql, *values)
        with self.connection.turn():
            return super().execute(sql, *values)

    def executemany(self, sql: str, values: Any) -> Any:
        with self.connection.turn():
            return super().executemany(sql, values)


@lru_cache
def _in_turn(factory: type[sqlite3.Cursor]) -> type[sqlite3.Cursor]:
    """Return Django's kind of cursor, or the driver's own, as one that takes turns."""
    return type(f"{factory.__name__}InTurn", (_InTurn, factory), {})
