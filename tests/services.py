"""Run a command with a PostgreSQL and a Redis of its own: `python -m tests.services pytest …`.

Both listen on free loopback ports, keep their files in a temporary directory and end with the command. PostgreSQL
refuses to run as root, so root starts them as another user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

START_WITHIN = 30  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(name: str) -> str:
    """Return the path of a program of PostgreSQL or Redis; Debian keeps PostgreSQL's out of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")  # where Debian keeps nginx
    path = found or next((str(folder / name) for folder in versions[::-1] if (folder / name).exists()), None)
    if not path:
        raise SystemExit(f"{name} is not installed; `sh tools/need.sh` installs what the tests need.")
    return path


def unprivileged() -> dict[str, Any]:
    """Return how to start a process as somebody else than root."""
    if os.geteuid() != 0:
        return {}
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def directory_of_services() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="papo-services-", ignore_cleanup_errors=True) as path:
        if user := unprivileged():
            os.chown(path, user["user"], user["group"])
        yield Path(path)


@contextmanager
def _program(arguments: list[str], directory: Path, is_ready: Callable[[], object]) -> Iterator[None]:
    log = directory.parent / f"{directory.name}.{Path(arguments[0]).name}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=directory, **unprivileged())
    try:
        _wait_for(is_ready, process, log)
        yield
        log.unlink(missing_ok=True)
    finally:
        process.send_signal(signal.SIGINT)  # to PostgreSQL: disconnect everybody and stop
        process.wait(timeout=20)


def _wait_for(is_ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_WITHIN
    while True:
        try:
            is_ready()
        except (psycopg.OperationalError, redis.ConnectionError):
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"{log.name} says:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return


class Postgresql:
    """A PostgreSQL with files of its own, to be had at `url` (a DATABASE_URL) while it runs."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        port, settings = free_port(), [] if durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self.url = f"postgres://papo@127.0.0.1:{port}/postgres"
        self._directory, self._data = directory, str(directory / "data")
        self._command = [
            find_program("postgres"),
            "-D",
            self._data,
            "-p",
            str(port),
            "-c",
            "listen_addresses=127.0.0.1",
        ]
        self._command += ["-c", f"unix_socket_directories={directory}", "-c", "max_connections=300", *settings]

    def create(self) -> None:
        as_papo = ["-U", "papo", "-E", "UTF8", "--locale=C", "-A", "trust"]
        self._run("initdb", "-D", self._data, *as_papo, "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        command = [find_program(program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._directory, **unprivileged())

    @contextmanager
    def running(self) -> Iterator[None]:
        with _program(self._command, self._directory, lambda: psycopg.connect(self.url, connect_timeout=2).close()):
            yield

    def stop_at_once(self) -> None:
        """End it as a power cut would: no connection is told, and `running` again brings back what was committed."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self._data)


@contextmanager
def new_postgresql(*, durable: bool = False) -> Iterator[Postgresql]:
    """Yield one that does not run yet. Only a `durable` one waits for the disk; no test lives through a power cut."""
    with directory_of_services() as directory:
        postgresql = Postgresql(directory, durable=durable)
        postgresql.create()
        yield postgresql


@contextmanager
def running_postgresql(*, durable: bool = False) -> Iterator[str]:
    """Yield the DATABASE_URL of a new one."""
    with new_postgresql(durable=durable) as postgresql, postgresql.running():
        yield postgresql.url


@contextmanager
def running_redis() -> Iterator[str]:
    """Yield a REDIS_URL; nothing is kept on disk."""
    port = free_port()
    with directory_of_services() as directory:
        command = [find_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        client = redis.Redis(port=port)
        with _program(command, directory, client.ping):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def running_services(*, durable: bool = False) -> Iterator[dict[str, str]]:
    """Yield the two variables that make Papo use a PostgreSQL and a Redis started for this purpose."""
    with ExitStack() as stack:
        yield {
            "DATABASE_URL": stack.enter_context(running_postgresql(durable=durable)),
            "REDIS_URL": stack.enter_context(running_redis()),
        }


def main() -> int:
    """Run the command line's command between them and return its exit status; SIGTERM reaches it too."""
    with running_services() as urls:
        process = subprocess.Popen(sys.argv[1:], env={**os.environ, **urls, "PAPO_TEST_SERVICES": "1"})
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command has heard of it itself


if __name__ == "__main__":
    sys.exit(main())
