"""What the processes hold, every few seconds: memory, descriptors, threads, tasks, connections, and processor time."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests

from tests.production.stack import Stack

TICKS = os.sysconf("SC_CLK_TCK")
_GAUGE = re.compile(r"^papo_(tasks|sockets) ([\d.e+]+)$", re.MULTILINE)
_PENDING = re.compile(r'^papo_payments\{[^}]*status="PENDING"[^}]*\} ([\d.e+]+)$', re.MULTILINE)
# Of one kind of session each: those that the shop holds, without the one that asks.
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

Sample = dict[str, Any]


class Sampler:
    """Writes a line for each sample to `path`; `phase` says what the load is doing meanwhile."""

    def __init__(self, stack: Stack, path: Path, *, every: float) -> None:
        self.stack, self.every, self.phase = stack, every, "start"
        self.samples: list[Sample] = []
        self._path, self._start = path, time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def of(self, phase: str) -> list[Sample]:
        return [sample for sample in self.samples if sample["phase"] == phase]

    def _run(self) -> None:
        while not self._stop.wait(self.every):
            sample = self.take()
            self.samples.append(sample)
            with self._path.open("a") as file:
                file.write(f"{json.dumps(sample)}\n")

    def take(self) -> Sample:
        """Return what is held now; what cannot be asked because it is being restarted is left out."""
        sample: Sample = {"seconds": round(time.monotonic() - self._start, 1), "phase": self.phase}
        sample["cpu_seconds"] = round(_cpu_of_family(os.getpid()), 2)
        for name, pid in self._processes().items():
            with suppress(OSError):
                sample[name] = _held_by(pid)
        for number, worker in enumerate(self.stack.workers, start=1):
            sample.setdefault(f"web-{number}", {}).update(_gauges(worker.base_url))
        with suppress(psycopg.Error):
            sample["postgresql"] = _sessions(self.stack.settings["DATABASE_URL"])
        with suppress(redis.RedisError):
            sample["redis"] = _clients(self.stack.settings["REDIS_URL"])
        return sample

    def _processes(self) -> dict[str, int]:
        running = {f"web-{number}": worker.process for number, worker in enumerate(self.stack.workers, start=1)}
        running["reconciler"] = self.stack.reconciler.process
        return {name: process.pid for name, process in running.items() if process is not None}


def pending(stack: Stack) -> int:
    """Return how many payments have not ended, as `/metrics` counts them."""
    text = requests.get(f"{stack.workers[0].base_url}/metrics", timeout=10).text
    return int(sum(float(count) for count in _PENDING.findall(text)))


def _held_by(pid: int) -> dict[str, float]:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "rss_mib": round(int(status["VmRSS"].split()[0]) / 1024, 1),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
    }


def _gauges(base_url: str) -> dict[str, float]:
    with suppress(requests.RequestException):
        text = requests.get(f"{base_url}/metrics", timeout=5).text
        return {name: float(value) for name, value in _GAUGE.findall(text)}
    return {}


def _sessions(url: str) -> int:
    with psycopg.connect(url, connect_timeout=2) as connection:
        row = connection.execute(SESSIONS).fetchone()
    return int(row[0]) if row else 0


def _clients(url: str) -> int:
    with redis.Redis.from_url(url, socket_timeout=2) as client:
        return int(client.info("clients")["connected_clients"]) - 1


def _cpu_of_family(pid: int) -> float:
    """Return the seconds of CPU of a process, all that descend from it, and those of them that have ended."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            parents[int(path.parent.name)] = int(fields[1])
            seconds[int(path.parent.name)] = sum(map(int, fields[11:15])) / TICKS
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(seconds.get(member, 0.0) for member in family)
