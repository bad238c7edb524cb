"""What the hour showed: was everything given back, and does the shop say what phones paid?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import requests

from tests.faults.many.ledger import Ledger
from tests.faults.many.shoppers import Shopper
from tests.faults.many.verdict import Verdict, compare
from tests.faults.rig.judge import SECRETS
from tests.faults.soak.samples import Sample
from tests.production.stack import Stack

GROWTH = 0.10  # of memory, at most
GIVE_OR_TAKE = 2  # connections, tasks, threads
SESSIONS = "PostgreSQL: sessions"
PHONES = re.compile(r"25479\d{7}")


@dataclass(frozen=True)
class Held:
    """One thing that one process holds, as medians over a phase."""

    what: str
    base: float
    busy: float
    highest: float
    after: float

    @property
    def is_given_back(self) -> bool:
        may_grow = self.base * GROWTH if self.what.endswith(("MiB", "descriptors")) else 0.0
        may_vary = 0.0 if self.what.endswith("MiB") else GIVE_OR_TAKE
        return self.after <= self.base + may_grow + may_vary


def held(base: list[Sample], busy: list[Sample], after: list[Sample]) -> list[Held]:
    """Return everything that was sampled: `base` and `after` without load, `busy` under it."""
    found = []
    for what, read in _THINGS.items():
        values = [[value for sample in phase if (value := read(sample)) is not None] for phase in (base, busy, after)]
        if all(values):
            found.append(Held(what, median(values[0]), median(values[1]), max(values[1]), median(values[2])))
    return found


def _of(process: str, name: str) -> Any:
    return lambda sample: sample.get(process, {}).get(name)


_UNITS = {"rss_mib": "memory, MiB", "descriptors": "descriptors", "threads": "threads", "tasks": "asyncio tasks"}
_THINGS = {
    f"{process}: {unit}": _of(process, name)
    for process in ("web-1", "web-2", "reconciler")
    for name, unit in _UNITS.items()
} | {
    SESSIONS: lambda sample: sample.get("postgresql"),
    "Redis: connections": lambda sample: sample.get("redis"),
}


def judge(stack: Stack, record: Path, shoppers: Sequence[Shopper]) -> Verdict:
    """Ask the shop's public routes about every shopper and compare with the simulator's `record`."""
    verdict, paid = Verdict(violations=list(_leaks(stack))), Ledger(record).paid()
    with ThreadPoolExecutor(2) as askers, requests.Session() as session:
        for shopper, order in zip(shoppers, askers.map(lambda s: _order(stack, session, s), shoppers), strict=True):
            compare(shopper, order, paid[shopper.phone_number], verdict)
    return verdict


def _order(stack: Stack, session: requests.Session, shopper: Shopper) -> dict[str, Any]:
    if not shopper.order_id:
        return {}
    return dict(session.get(f"{stack.base_url}/api/orders/{shopper.order_id}/", timeout=30).json())


def _leaks(stack: Stack) -> Iterator[str]:
    for path in sorted(stack.directory.rglob("*.log")):
        if path.name == "postgresql.log":
            continue  # PostgreSQL's own words about statements are its administrator's
        text = path.read_text(errors="replace")
        if SECRETS.search(text) or PHONES.search(text):
            yield f"I9: a secret or a whole phone number in {path.name}"
