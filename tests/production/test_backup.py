"""A backup taken while customers pay, restored elsewhere: what it holds is right, and what it lacks is found again.

The commands are those of docs/operations.md. The simulated M-PESA goes on meanwhile, as the true one would.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.client import Shop, new_phone_number
from tests.server import REPOSITORY, RunningServer
from tests.services import find_program, running_postgresql

pytestmark = [pytest.mark.long, pytest.mark.services]

LASTING = ("status", "amount", "mpesa_receipt_number", "version", "order_id", "created_at", "updated_at")
COPY_SQLITE = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
Documents = dict[str, dict[str, Any]]


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self.path, self.copy = directory / "shop.sqlite3", directory / "copy.sqlite3"
        self.url, self.restored_url = f"sqlite:///{self.path}", f"sqlite:///{self.copy}"

    def back_up(self) -> None:
        subprocess.run([sys.executable, "-c", COPY_SQLITE, str(self.path), str(self.copy)], check=True)

    def restore(self) -> None:
        with closing(sqlite3.connect(self.copy)) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert copy.execute("PRAGMA foreign_key_check").fetchall() == []

    def restored_rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.copy)) as copy:
            return copy.execute(query).fetchall()


class Postgresql:
    def __init__(self, directory: Path, url: str) -> None:
        self.url, self.restored_url = url, f"{url.rpartition('/')[0]}/restored"
        self.dump = str(directory / "shop.dump")

    def back_up(self) -> None:
        self._run("pg_dump", "--format=custom", f"--file={self.dump}", self.url)

    def restore(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute("CREATE DATABASE restored")
        self._run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={self.restored_url}", self.dump)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([find_program(program), *arguments], check=True)

    def restored_rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.restored_url) as restored:
            return restored.execute(query).fetchall()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | Postgresql]:
    if request.param == "sqlite":
        yield Sqlite(tmp_path)
        return
    with running_postgresql(durable=True) as url:
        yield Postgresql(tmp_path, url)


class Customers:
    """Four who order and pay one thing after the other until they are told to stop."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.ids = shop, list[str]()
        self._is_over = threading.Event()

    def pay(self) -> None:
        while not self._is_over.wait(0.2):
            answer = self.shop.push(self.shop.order()["order_id"], new_phone_number())
            assert answer.status_code == 201, answer.text
            self.ids.append(answer.json()["transaction_id"])

    @contextmanager
    def paying(self) -> Iterator[None]:
        with ThreadPoolExecutor(4) as pool:
            tasks = [pool.submit(self.pay) for _ in range(4)]
            try:
                yield
            finally:
                self._is_over.set()
        for task in tasks:
            task.result()


def _documents(shop: Shop, ids: list[str]) -> Documents:
    answers = {key: shop.get("/payments/status/", params={"transaction_id": key}) for key in ids}
    return {key: dict(answer.json()) for key, answer in answers.items() if answer.status_code == 200}


def _completed(documents: Documents) -> Documents:
    return {key: _lasting(each) for key, each in documents.items() if each["status"] == "COMPLETED"}


def _lasting(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in LASTING}


def _server(directory: Path, store: Sqlite | Postgresql, **settings: str) -> RunningServer:
    """Return the shop on this store; its secrets and M-PESA's own record survive what happens to the database."""
    settings = {"RATE_LIMITS": "off", "MPESA_QUERY_AFTER_SECONDS": "1", "MPESA_EXPIRE_AFTER_SECONDS": "600"} | settings
    return RunningServer(directory, DATABASE_URL=settings.pop("DATABASE_URL", store.url), **settings)


@pytest.fixture
def serving() -> Iterator[Callable[[RunningServer], Shop]]:
    """Start a server, which is stopped in the end."""
    servers: list[RunningServer] = []

    def serve(server: RunningServer) -> Shop:
        servers.append(server)
        return Shop(server.start().base_url)

    yield serve
    for server in servers:
        server.stop()


def test_a_backup_under_load_is_right_and_what_came_after_it_is_found_again(
    store: Sqlite | Postgresql, tmp_path: Path, serving: Callable[[RunningServer], Shop]
) -> None:
    server = _server(tmp_path, store)
    shop = serving(server)
    before, truth = _a_busy_hour(shop, store)
    server.stop()
    store.restore()
    restored = _server(tmp_path, store, DATABASE_URL=store.restored_url, PORT=str(server.port))
    shop = serving(restored)

    known = _documents(shop, list(truth))
    completed = _completed(known)
    for key, each in before.items():  # a receipt may have come between our look and the backup, a version more
        assert completed[key] == each or completed[key]["version"] > each["version"], key
        assert completed[key]["amount"] == each["amount"]
        assert each["mpesa_receipt_number"] in {None, completed[key]["mpesa_receipt_number"]}
    unnamed = _unnamed(store)
    for key in known.keys() - before.keys() - unnamed:  # was open at the backup: M-PESA is asked, and says so
        assert shop.wait_for(key, "COMPLETED", within=60)["amount"] == truth[key]["amount"]

    unheard_of = (truth.keys() - known.keys()) | (unnamed & truth.keys())
    assert unheard_of
    statement = tmp_path / "statement.csv"
    statement.write_bytes(shop.get("/simulator/api/statement/").content)
    restored.manage("import_statement", str(statement))
    found = store.restored_rows("SELECT receipt FROM payments_finding WHERE kind = 'missing_ours'")
    assert {receipt for (receipt,) in found} == {truth[key]["mpesa_receipt_number"] for key in unheard_of}


def _unnamed(store: Sqlite | Postgresql) -> set[str]:
    """Return the payments of the backup that M-PESA cannot be asked about: its answer to the push was on its way."""
    query = "SELECT id FROM payments_transaction WHERE status = 'PENDING' AND checkout_request_id IS NULL"
    return {str(UUID(str(key))) for (key,) in store.restored_rows(query)}


def _a_busy_hour(shop: Shop, store: Sqlite | Postgresql) -> tuple[Documents, Documents]:
    """Back up while customers pay; return what was completed before that, and what was in the end."""
    shop.post("/simulator/api/default/", json={"outcome": "paid"})
    customers = Customers(shop)
    with customers.paying():
        while len(before := _completed(_documents(shop, customers.ids[:]))) < 20:
            time.sleep(0.2)
        store.back_up()
        begun = len(customers.ids)
        while len(customers.ids) < begun + 10:
            time.sleep(0.2)
    for key in customers.ids:
        shop.wait_for(key, "COMPLETED", within=60)
    return before, _completed(_documents(shop, customers.ids))


def test_the_runbook_has_these_commands() -> None:
    runbook = (REPOSITORY / "docs/operations.md").read_text()
    assert COPY_SQLITE in runbook
    for command in ("pg_dump --format=custom", "pg_restore --exit-on-error --no-owner", "PRAGMA integrity_check"):
        assert command in runbook
