"""What a fault is, and what several of them are made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.proxy import Mode

Injection = Callable[[Cluster], AbstractContextManager[None]]
PAID_ONCE = {"outcome": "paid", "delivery": "once"}
MIXED = [
    PAID_ONCE,
    {"outcome": "paid", "delivery": "twice"},
    {"outcome": "cancelled", "delivery": "once"},
    {"outcome": "paid", "delivery": "lost"},
    {"outcome": "paid", "delivery": "before_answer"},
    {"outcome": "paid", "delivery": "out_of_order"},
]
SERVICES, SQLITE, TWO = frozenset({"services"}), frozenset({"sqlite"}), frozenset({"two"})


@dataclass(frozen=True)
class Fault:
    """One way to break Papo. `needs`: "services" (PostgreSQL and Redis), "sqlite", "two" workers, or nothing."""

    number: str
    what: str
    inject: Injection
    plans: tuple[dict[str, str], ...] = tuple(MIXED)
    needs: frozenset[str] = frozenset()
    pages_lose_network: bool = False


@contextmanager
def nothing(cluster: Cluster) -> Iterator[None]:
    """The network and Daraja misbehave by the customers' plans alone."""
    time.sleep(1)
    yield


def mode(of: str, how: Mode, seconds: float) -> Injection:
    """Let the proxy of that name in Cluster behave so for so long."""

    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        proxy = getattr(cluster, of)
        proxy.become(how)
        try:
            time.sleep(seconds)
            yield
        finally:
            proxy.become(Mode.PASS)

    return inject


def plan(delivery: str, outcome: str = "paid", **more: str) -> dict[str, str]:
    return {"outcome": outcome, "delivery": delivery, **more}
