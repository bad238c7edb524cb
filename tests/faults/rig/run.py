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

SPREAD = 4.0  # seconds over which the customers come in


def run(cluster: Cluster, fault: Fault, *, seed: int, customers: int) -> Verdict:
    """Break `cluster` in the one way while so many customers buy; the seed and the history stand in each violation."""
    dice = random.Random(seed)
    history = History(Path(cluster.directory / f"history-{fault.number}-{seed}.jsonl"))
    people = Customers(cluster, history, seed)
    plans = [dice.choice(fault.plans) for _customer in range(customers)]
    try:
        people.send(plans, over=SPREAD)
        time.sleep(dice.uniform(0, 1.5))
        history.note("rig", "breaks", fault=fault.number, seed=seed)
        with fault.inject(cluster):
            history.note("rig", "heals")
        healed_at = time.monotonic()
        if fault.pages_lose_network:
            people.come_back()
        people.wait()
        verdict = Judge(cluster, people, healed_at).decide()
    finally:
        people.leave()
        history.close()
    where = f"{fault.number}, seed {seed}, {history.path}"
    verdict.violations = [f"{violation} [{where}]" for violation in verdict.violations]
    return verdict
