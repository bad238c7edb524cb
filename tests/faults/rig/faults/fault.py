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
DISKS, CLOCK = frozenset({"disks"}), frozenset({"clock"})  # to mount file systems, as root may; libfaketime
CHROMIUM = frozenset({"chromium"})


def nothing_armed(cluster: Cluster) -> None:
    """Prepare nothing."""


class Missed(Exception):
    """The moment that a fault waits for never came: this was no run of it."""


@dataclass(frozen=True)
class Fault:
    """One way to break Papo.

    `needs`: what a set-up must have. `arm`: done before the customers come. `is_long`: a run takes minutes.
    `pages_lose_network`: their browsers notice, as phones do. `customers`: how many it takes, if not any number; they
    come in over `spread` seconds.
    `sockets_suffice`: every page is right without polling. `may_refuse`: a callback may be refused, for nothing could
    keep it. `refuses_nobody`: no customer may see a server error. `may_expire`: a payment may end for want of news.
    `is_of_pages`: real browsers are to show what they make of it.
    `late_pages`: after so many seconds, each time, a new page is opened for every payment.
    """

    number: str
    what: str
    inject: Injection
    plans: tuple[dict[str, str], ...] = tuple(MIXED)
    needs: frozenset[str] = frozenset()
    arm: Callable[[Cluster], None] = nothing_armed
    is_long: bool = False
    pages_lose_network: bool = False
    customers: int | None = None
    spread: float = 4.0
    sockets_suffice: bool = True
    may_refuse: bool = False
    refuses_nobody: bool = False
    may_expire: bool = True
    is_of_pages: bool = False
    late_pages: tuple[float, ...] = (0.0,)


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
