"""The real thing as a subprocess: `manage.py serve` with settings, database and port of its own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import requests

from tests.services import free_port

REPOSITORY = Path(__file__).resolve().parent.parent
STOPPED_WITHIN = 30  # seconds
READY_WITHIN = 120  # seconds; the first start of a checkout compresses all static files, on whatever else is busy


class RunningServer:
    """One Papo; its settings are those given, and the defaults. `command`: "serve", or "worker" as in production."""

    project = REPOSITORY  # where its manage.py is; to be set before the first command

    def __init__(self, directory: Path, *, command: str = "serve", **settings: str) -> None:
        self.command = command
        self.port = int(settings.get("PORT") or free_port())
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "serve.log"
        self.directory = directory
        self.settings = {
            "ENV_FILE": str(directory / ".env"),
            "PORT": str(self.port),
            "DATABASE_URL": f"sqlite:///{directory / 'shop.sqlite3'}",
            "CALLBACK_SPOOL_DIR": str(directory / "spool"),
            "SIMULATOR_RECORD": str(directory / "simulator.sqlite3"),
            "DEMO_HISTORY": "off",
            **settings,
        }
        self.program = [sys.executable, "manage.py"]
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Do what a deployment does once before its workers start."""
        self.manage("prepare")

    def manage(self, *command: str) -> None:
        """Run a command of manage.py to its end with the server's settings."""
        program = [sys.executable, "manage.py", *command]
        subprocess.run(program, cwd=self.project, env=self._environment(), check=True)

    def ask(self, *command: str) -> tuple[int, str]:
        """Run a command of manage.py to its end; return its exit status and what it said."""
        program = [sys.executable, "manage.py", *command]
        told = subprocess.run(program, cwd=self.project, env=self._environment(), capture_output=True, text=True)
        return told.returncode, told.stdout

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.settings, "PYTHONUNBUFFERED": "1"}

    def start(self, *, wait: bool = True) -> RunningServer:
        with open(self.log, "ab") as log:
            command = [*self.program, self.command]
            self.process = subprocess.Popen(command, cwd=self.project, env=self._environment(), stdout=log, stderr=log)
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        give_up = time.monotonic() + READY_WITHIN
        while not self._is_ready():
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended: {self.output}"
            assert time.monotonic() < give_up, f"the server is not ready: {self.output}"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.base_url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Take it away in the middle of whatever it does, as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, signal_number: int) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(signal_number)
        try:
            return process.wait(timeout=STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def running_server(directory: Path, **settings: str) -> Iterator[RunningServer]:
    """Yield a server that is ready, on the PostgreSQL and Redis of the run when there are any."""
    with own_database() as urls:
        server = RunningServer(directory, **{**urls, **settings})
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def own_database() -> Iterator[dict[str, str]]:
    """Yield a new PostgreSQL database when tests/services.py runs one; without it a server makes its own SQLite."""
    if not os.environ.get("PAPO_TEST_SERVICES"):
        yield {}
        return
    name, admin = f"papo_{secrets.token_hex(4)}", os.environ["DATABASE_URL"]
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield {"DATABASE_URL": urlunsplit(urlsplit(admin)._replace(path=f"/{name}"))}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
