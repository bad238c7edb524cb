"""Faults of processes: frozen, restarted, flooded, too many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import SERVICES, TWO, Fault, Injection, plan
from tests.server import REPOSITORY


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
def _three_sweepers(cluster: Cluster) -> Iterator[None]:
    """Run three more reconcilers and kill one of them in the middle."""
    sweepers = [_command(cluster, "manage.py", "reconcile_payments", "--loop") for _ in range(3)]
    try:
        time.sleep(5 + cluster.dice.uniform(0, 2))
        sweepers[0].kill()
        yield
    finally:
        for sweeper in sweepers:
            sweeper.terminate()
            sweeper.wait(timeout=20)


@contextmanager
def _flooded(cluster: Cluster) -> Iterator[None]:
    """Stop one worker for five seconds, and push 5,000 messages at it through the layer meanwhile."""
    cluster.signal(0, signal.SIGSTOP)
    try:
        flood = _command(cluster, "-m", "tests.faults.rig.flood", "5000")
        flood.wait(timeout=30)
        time.sleep(2)
        yield
    finally:
        cluster.signal(0, signal.SIGCONT)


def _command(cluster: Cluster, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **cluster.workers[0].settings}
    with open(cluster.directory / "commands.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
        )  # fmt: skip


@contextmanager
def _nobody_asks(cluster: Cluster) -> Iterator[None]:
    """Let every worker be away for longer than a payment may take, and nobody sweep meanwhile."""
    time.sleep(4)
    for worker in cluster.workers:
        worker.kill()
    time.sleep(35)
    for worker in cluster.workers:
        worker.start()
    yield


FAULTS = [
    Fault("F2", "rolling restart of two workers", _rolling_restart, needs=TWO, is_of_pages=True),
    Fault("F3a", "a worker frozen for 5 s", _frozen(5)),
    Fault("F3b", "a worker frozen for 30 s", _frozen(30), is_long=True),
    Fault("F3c", "a worker frozen for 70 s", _frozen(70), is_long=True),
    Fault("F26a", "three more reconcilers, one killed", _three_sweepers),
    Fault("F26b", "nobody sweeps for longer than a payment may take", _nobody_asks, is_long=True,
          plans=(plan("lost"), plan("lost", "cancelled"), plan("once"))),
    Fault("F28", "5,000 pushes to a worker that is stopped", _flooded, needs=SERVICES | TWO),
]  # fmt: skip
