"""Faults of processes: killed, frozen, restarted, too many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import TWO, Fault, Injection
from tests.server import REPOSITORY


@contextmanager
def _killed_workers(cluster: Cluster) -> Iterator[None]:
    """Kill every worker once in the middle of what it does, one after the other."""
    for worker in cluster.workers:
        time.sleep(0.8)
        worker.kill()
        worker.start()
    yield


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
    environment = {**os.environ, **cluster.workers[0].settings}
    command = [sys.executable, "manage.py", "reconcile_payments", "--loop"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    sweepers = [subprocess.Popen(command, cwd=REPOSITORY, env=environment, **quiet) for _ in range(3)]  # type: ignore[call-overload]
    try:
        time.sleep(6)
        sweepers[0].kill()
        yield
    finally:
        for sweeper in sweepers:
            sweeper.terminate()
            sweeper.wait(timeout=20)


FAULTS = [
    Fault("F1", "workers killed with -9 in the middle", _killed_workers),
    Fault("F2", "rolling restart of two workers", _rolling_restart, needs=TWO),
    Fault("F3", "a worker frozen for 6 s", _frozen(6)),
    Fault("F26", "three more reconcilers, one killed", _three_sweepers),
]  # fmt: skip
