"""One run: customers come, something breaks, it heals, the judge speaks."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.customers import Customers
from tests.faults.rig.faults.fault import Fault
from tests.faults.rig.history import History
from tests.faults.rig.judge import Judge, Verdict


def run(cluster: Cluster, fault: Fault, *, seed: int, customers: int) -> Verdict:
    """Break `cluster` in the one way while so many customers buy; the seed and the history stand in each violation.

    Raises Missed when the moment that the fault waits for did not come.
    """
    dice = cluster.dice = random.Random(seed)
    history = History(Path(cluster.directory / f"history-{fault.number}-{seed}.jsonl"))
    people = Customers(cluster, history, seed, sockets_suffice=fault.sockets_suffice)
    plans = [dice.choice(fault.plans) for _customer in range(fault.customers or customers)]
    cluster.found.clear()
    cluster.drawn.clear()
    try:
        fault.arm(cluster)
        people.send(plans, over=fault.spread)
        healed_at = _break(cluster, fault, history, before=dice.uniform(0, 1.5))
        if fault.pages_lose_network:
            people.come_back()
        people.wait()
        verdict = Judge(cluster, people, healed_at, fault).decide()
    finally:
        people.leave()
        history.close()
        cluster.repair()
    verdict.violations += cluster.found
    verdict.injections = max(1, len(cluster.drawn))
    where = f"{fault.number}, seed {seed}, {history.path}"
    verdict.violations = [f"{violation} [{where}]" for violation in verdict.violations]
    return verdict


def _break(cluster: Cluster, fault: Fault, history: History, *, before: float) -> float:
    """Let the fault happen after so many seconds, and return when it had healed."""
    time.sleep(before)
    history.note("rig", "breaks", fault=fault.number)
    with fault.inject(cluster):
        history.note("rig", "heals")
    return time.monotonic()
