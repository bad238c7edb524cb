"""What the workers stand on: PostgreSQL and Redis that can be stopped or frozen, and disks that can be full."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.production.stack import Process, own_postgresql, own_redis
from tests.services import directory_of_services

DISK_MIB, SPOOL_MIB = 600, 8


@dataclass
class Machines:
    """`disk` holds the database, `spool` the callbacks that it could not take; file systems of their own for root."""

    directory: Path
    postgresql: Process | None = None
    redis: Process | None = None
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def disk(self) -> Path:
        return self.directory / "disk"

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    @property
    def has_disks(self) -> bool:
        return has_disks()

    @property
    def sqlite(self) -> Path:
        return self.disk / "shop.sqlite3"


@contextmanager
def running_machines(*, services: bool) -> Iterator[Machines]:
    """Yield disks, and with `services` a PostgreSQL and a Redis on them."""
    with directory_of_services() as directory, ExitStack() as stack:
        machines = Machines(directory)
        for path, size in ((machines.disk, DISK_MIB), (machines.spool, SPOOL_MIB)):
            stack.enter_context(_disk(path, size))
        if services:
            machines.postgresql, database_url = own_postgresql(machines.disk)
            machines.redis, redis_url = own_redis(machines.disk)
            machines.urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
            for process in (machines.postgresql, machines.redis):
                process.start()
                stack.callback(_end, process)
        yield machines


def _end(process: Process) -> None:
    if process.is_alive:
        for pid in family(process.pid):
            os.kill(pid, signal.SIGCONT)
    process.end(signal.SIGINT)


def has_disks() -> bool:
    """Return whether file systems can be mounted here."""
    return os.geteuid() == 0


@contextmanager
def _disk(path: Path, mebibytes: int) -> Iterator[None]:
    """Make a directory; for root a file system of so many MiB, which can then be filled without harm to the rest."""
    path.mkdir()
    if not has_disks():
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0777", "papo", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def full(path: Path) -> Iterator[None]:
    """Leave no byte free on the file system of `path`, from this moment on until the end."""
    filler = path / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        yield
    finally:
        filler.unlink()


def family(pid: int) -> list[int]:
    """Return a process and its children, which for PostgreSQL are in groups of their own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]
