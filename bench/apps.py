"""The applications under measurement, each a process of its own on the server's core."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench.machine import SERVER_CORE, pinned_to, serving_process
from bench.payments import Payment, written_by
from tests.fake_daraja import FakeDaraja, running_daraja
from tests.server import REPOSITORY, RunningServer
from tests.services import free_port

START_WITHIN = 30  # seconds
UVICORN = "--ws websockets-sansio --ws-per-message-deflate false --timeout-keep-alive 75 --no-access-log"
PREPARED = "papo_prepared"  # a database that others are copied from
# Nothing but callbacks may change a payment here, and load runs have no limits.
PAPO = {
    "MPESA_ENVIRONMENT": "simulator",
    "MPESA_QUERY_AFTER_SECONDS": "3600",
    "MPESA_EXPIRE_AFTER_SECONDS": "86400",
    "RATE_LIMITS": "off",
}


@dataclass
class App:
    """One server and payments that it has not seen completed yet; `greets`: a page is told the present state."""

    name: str
    port: int
    process_id: int
    payments: Iterator[Payment]
    greets: bool = False
    settings: dict[str, str] = field(default_factory=dict)  # what another process on its database needs
    server: RunningServer | None = None  # Papo's, and its Daraja
    daraja: FakeDaraja | None = None
    addresses: Iterator[str] = field(default_factory=lambda: repeat(""))  # to connect from, one after another

    def take(self, count: int) -> list[Payment]:
        return list(islice(self.payments, count))


def forget_settings() -> None:
    """Leave the settings of the caller's own shop out of the measurement."""
    for line in (REPOSITORY / ".env.example").read_text().splitlines():
        os.environ.pop(line.lstrip("# ").partition("=")[0], None)


@contextmanager
def floor_app(directory: Path, *, payments: int, **urls: str) -> Iterator[App]:
    """Serve the floor: on SQLite when there is no DATABASE_URL."""
    module = "bench.floor.server:application" if urls else "bench.floor.embedded:application"
    environment = {**os.environ, **(urls or {"SQLITE_FILE": str(directory / "floor.sqlite3")})}
    written = written_by("bench.floor.fill", payments, environment)
    with _uvicorn(module, directory / "floor.log", environment) as (port, process_id):
        yield App("floor", port, process_id, written)


@contextmanager
def naive_app(directory: Path, *, payments: int, **urls: str) -> Iterator[App]:
    environment = {**os.environ, **urls}
    written = written_by("bench.naive.fill", payments, environment)
    with _uvicorn("bench.naive.asgi:application", directory / "naive.log", environment) as (port, process_id):
        yield App("naive", port, process_id, written, greets=True)


@contextmanager
def papo_app(
    directory: Path, *, payments: int, command: str = "", program: Sequence[str] = (), **urls: str
) -> Iterator[App]:
    """Serve Papo as `make run` does when there are no URLs, and as production does on PostgreSQL and Redis.

    `command` and `program`: another one to run instead, as `RunningServer` has them; `urls`: any setting.
    """
    directory.mkdir(exist_ok=True)
    command = command or ("worker" if urls else "serve")
    with running_daraja() as (daraja, daraja_url):
        settings = {"REDIS_URL": "", **PAPO, "DARAJA_BASE_URL": daraja_url, **urls}
        server = RunningServer(directory, command=command, **settings)
        try:
            _prepare(server)
            server.program = list(program) or server.program
            with pinned_to(SERVER_CORE):
                server.start(wait=False)
            server.wait_until_ready()
            written = written_by("bench.papo.fill", payments, {**os.environ, **server.settings})
            assert server.process is not None
            process_id = serving_process(server.process.pid)
            known: dict[str, Any] = {"settings": server.settings, "server": server, "daraja": daraja}
            yield App("Papo", server.port, process_id, written, greets=True, **known)
        finally:
            with suppress(subprocess.TimeoutExpired):  # it is killed then, and what was measured stands
                server.stop()


def _prepare(server: RunningServer) -> None:
    """Migrate and seed; on PostgreSQL by copying what the first Papo of the run made, which saves seconds."""
    url = urlsplit(server.settings["DATABASE_URL"])
    if url.scheme == "sqlite":
        server.prepare()
        return
    own = url.path.lstrip("/")
    with psycopg.connect(urlunsplit(url._replace(path="/postgres")), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [PREPARED]).fetchone():
            connection.execute(f"DROP DATABASE {own}")
            connection.execute(f"CREATE DATABASE {own} TEMPLATE {PREPARED}")
        else:
            server.prepare()
            connection.execute(f"CREATE DATABASE {PREPARED} TEMPLATE {own}")


@contextmanager
def _uvicorn(application: str, log: Path, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), *UVICORN.split()]
    with open(log, "wb") as output, pinned_to(SERVER_CORE):
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output)
    try:
        _wait_for(port, process, log)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"{log.name} says:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def own_database(admin_url: str) -> Iterator[str]:
    """Yield the URL of a new database, so that no application reads over another's rows."""
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


Serve = Callable[..., AbstractContextManager[App]]


@contextmanager
def all_three(directory: Path, services: dict[str, str], *, payments: int) -> Iterator[list[App]]:
    """Serve floor, naive and Papo on one PostgreSQL and one Redis."""
    with _side_by_side((floor_app, naive_app, papo_app), directory, services, payments) as apps:
        yield apps


@contextmanager
def two(
    first: Serve, second: Serve, directory: Path, services: dict[str, str], *, payments: int
) -> Iterator[list[App]]:
    """Serve two of them so."""
    with _side_by_side((first, second), directory, services, payments) as apps:
        yield apps


@contextmanager
def _side_by_side(
    serving: Sequence[Serve], directory: Path, services: dict[str, str], payments: int
) -> Iterator[list[App]]:
    with ExitStack() as stack:
        apps = []
        for serve in serving:
            url = stack.enter_context(own_database(services["DATABASE_URL"]))
            urls = {"DATABASE_URL": url, "REDIS_URL": services["REDIS_URL"]}
            apps.append(stack.enter_context(serve(directory, payments=payments, **urls)))
        yield apps
