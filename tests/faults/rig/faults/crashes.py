"""F1: workers that die in the middle of what they do, at a point of ours or at any."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import MIXED, Fault, Missed, plan

DIES_WITHIN = 20.0  # seconds
TOLD = tuple(plan for plan in MIXED if plan["delivery"] != "lost")
UNTOLD = (plan("lost"), plan("lost", "cancelled"))

# Where, and what customers and network do so that somebody comes there.
POINTS = (
    ("before", "inbox._store", TOLD),
    ("after", "inbox._store", TOLD),
    ("before", "transitions._write_status", TOLD),
    ("after", "transitions._write_status", TOLD),
    ("before", "transitions.mark_paid", TOLD),
    ("after", "transitions.mark_paid", TOLD),
    ("after", "transitions.announce_change", TOLD),  # all is written, nothing is committed
    ("before", "signals.transaction_changed.send_robust", TOLD),  # committed, and nobody was told
    ("after", "inbox.settle_callback", TOLD),
    ("before", "checkout.client.stk_push", TOLD),
    ("before", "checkout.keep_ids", TOLD),  # lost as well, nobody could know of the money
    ("after", "checkout.keep_ids", tuple(MIXED)),
    ("after", "reconciler._claim", UNTOLD),
    ("before", "reconciler.settle_query", UNTOLD),
    ("after", "reconciler.settle_query", UNTOLD),
)


def _arm(point: str) -> Callable[[Cluster], None]:
    def arm(cluster: Cluster) -> None:
        """Replace one worker by one that will die there."""
        worker = cluster.workers[0]
        worker.stop()
        worker.settings["CRASH_AT"], program = point, worker.program
        worker.program = [sys.executable, "-m", "tests.faults.rig.deadly"]
        worker.start()
        worker.program = program

    return arm


@contextmanager
def _death(cluster: Cluster) -> Iterator[None]:
    """Wait until it has died, and start it again as a supervisor would."""
    worker = cluster.workers[0]
    assert worker.process is not None
    give_up = time.monotonic() + DIES_WITHIN
    while worker.process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.02)
    has_died = worker.process.poll() is not None
    worker.kill()
    worker.start()
    if not has_died:
        raise Missed(worker.settings["CRASH_AT"])
    yield


@contextmanager
def _killed_workers(cluster: Cluster) -> Iterator[None]:
    """Kill every worker once in the middle of what it does, one after the other."""
    for worker in cluster.workers:
        time.sleep(cluster.dice.uniform(0.2, 1.4))
        worker.kill()
        worker.start()
    yield


FAULTS = [
    Fault("F1", "workers killed with -9 in the middle", _killed_workers),
    *(
        Fault(f"F1{letter}", f"a worker dies {when} {function}", _death, plans, arm=_arm(f"{when} {function}"))
        for letter, (when, function, plans) in zip("abcdefghijklmno", POINTS, strict=True)
    ),
]
