"""F29: one fault after the other, drawn by the run's dice, while customers come all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults import crashes, databases, layer, networks, processes
from tests.faults.rig.faults.fault import Fault, nothing_armed

LASTS = 180.0  # seconds
CUSTOMERS = 360  # two a second


def _able(cluster: Cluster) -> list[Fault]:
    """Return what can be done to this set-up in seconds, and leaves nothing to be repaired after the verdict."""
    has = {"services"} if cluster.urls else {"sqlite"}
    has |= {"disks"} if cluster.machines.has_disks else set()
    has |= {"two"} if len(cluster.workers) > 1 else set()
    parts = (crashes, processes, databases, layer, networks)
    every = [fault for part in parts for fault in part.FAULTS]
    return [each for each in every if each.needs <= has and each.arm is nothing_armed and not each.is_long]


@contextmanager
def _one_after_the_other(cluster: Cluster) -> Iterator[None]:
    able, until = _able(cluster), time.monotonic() + LASTS
    while time.monotonic() < until:
        fault = cluster.dice.choice(able)
        cluster.drawn.append(fault.number)
        with fault.inject(cluster):
            pass
        time.sleep(cluster.dice.uniform(1, 8))
    yield


FAULTS = [
    Fault("F29", "a fault every few seconds for three minutes, two customers a second", _one_after_the_other,
          needs=frozenset({"unlimited"}), is_long=True, customers=CUSTOMERS, spread=LASTS, pages_lose_network=True,
          may_refuse=True),
]  # fmt: skip
