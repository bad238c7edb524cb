"""Every fault that can happen to one payment, and who runs a slice of it."""

from __future__ import annotations

from tests.faults.many import back, hand, ways
from tests.faults.many.between import Between
from tests.faults.many.run import Slice
from tests.faults.many.verdict import Verdict
from tests.faults.rig.cluster import Cluster

AnyFault = ways.Fault | hand.HandFault | back.BackFault
FAULTS: list[AnyFault] = [*ways.FAULTS, *hand.FAULTS, *back.FAULTS]


def run(cluster: Cluster, between: Between, fault: AnyFault, *, payments: int, seed: int) -> Verdict:
    """Let so many payments meet the fault, and judge them."""
    match fault:
        case ways.Fault():
            return Slice(cluster, between, fault, payments=payments, seed=seed).run()
        case hand.HandFault():
            return hand.HandSlice(cluster, fault, payments=payments, seed=seed).run()
        case back.BackFault():
            return back.BackSlice(cluster, between, fault, payments=payments, seed=seed).run()
