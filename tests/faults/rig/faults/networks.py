"""Faults of the network between customers and the shop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import Fault, mode
from tests.faults.rig.proxy import Mode


def _cut_off(number: str, seconds: int, *, is_long: bool = False) -> Fault:
    what = f"customers and Daraja cut off for {seconds} s"
    return Fault(
        number,
        what,
        mode("shop", Mode.RESET, seconds),
        pages_lose_network=True,
        is_long=is_long,
        is_of_pages=not is_long,
    )


@contextmanager
def _cut_each_second(cluster: Cluster) -> Iterator[None]:
    for _time in range(6):
        time.sleep(1)
        cluster.shop.cut()
    yield


@contextmanager
def _other_address(cluster: Cluster) -> Iterator[None]:
    """Let every phone move to another network, three times: old connections are dead without a word, new ones work."""
    for _time in range(3):
        time.sleep(cluster.dice.uniform(0.5, 2))
        cluster.shop.orphan()
    yield


FAULTS = [
    _cut_off("F20a", 2),
    _cut_off("F20b", 10),
    _cut_off("F20c", 40, is_long=True),
    Fault("F20d", "half-open for 5 s: nothing comes, nothing closes", mode("shop", Mode.HALF_OPEN, 5),
          pages_lose_network=True),
    Fault("F20e", "phones change networks: old connections dead, new ones work", _other_address,
          pages_lose_network=True),
    Fault("F20f", "a slow network", mode("shop", Mode.SLOW, 5)),
    Fault("F20g", "a few bytes at a time", mode("shop", Mode.SLICED, 5)),
    Fault("F23a", "sockets and requests cut off each second", _cut_each_second, is_of_pages=True),
]  # fmt: skip
