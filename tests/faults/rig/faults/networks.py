"""Faults of the network between customers and the shop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import Fault, mode
from tests.faults.rig.proxy import Mode


@contextmanager
def _cut_each_second(cluster: Cluster) -> Iterator[None]:
    for _time in range(6):
        time.sleep(1)
        cluster.shop.cut()
    yield


FAULTS = [
    Fault("F20a", "customers and Daraja cut off for 5 s", mode("shop", Mode.RESET, 5), pages_lose_network=True),
    Fault("F20b", "half-open for 5 s: nothing comes, nothing closes", mode("shop", Mode.HALF_OPEN, 5),
          pages_lose_network=True),
    Fault("F20c", "a slow network", mode("shop", Mode.SLOW, 5)),
    Fault("F20d", "a few bytes at a time", mode("shop", Mode.SLICED, 5)),
    Fault("F23", "sockets and requests cut off each second", _cut_each_second),
]  # fmt: skip
