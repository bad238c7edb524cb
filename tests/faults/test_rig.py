"""Papo as a whole, broken while customers buy: a few faults here, all of them in `make faults`.

The last test takes the guards away one at a time: a rig that found nothing then would prove nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.rig.cluster import Cluster, running_cluster
from tests.faults.rig.faults import fault
from tests.faults.rig.run import run

WITH_SERVICES = "PAPO_TEST_SERVICES" in os.environ
SHORT = ("F4a", "F6b") if WITH_SERVICES else ("F1", "F17a", "F20a")
CUSTOMERS = 6
SEED = 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("rig")
    with running_cluster(directory, workers=2, services=WITH_SERVICES, seed=SEED) as found:
        yield found


@pytest.mark.parametrize("number", SHORT)
def test_a_fault_loses_invents_and_hides_nothing(cluster: Cluster, number: str) -> None:
    verdict = run(cluster, fault(number), seed=SEED, customers=CUSTOMERS)
    assert verdict.violations == []
    assert verdict.payments == CUSTOMERS


# The guard that is taken away, the fault that shows it, and what is then violated; on SQLite, being the same code.
TEETH = [
    ("transition guard", "F13", "I1"),
    ("inbox", "F12", "I1"),
    ("asking", "F11", "I1"),
    ("token", "F0", "I2"),
    ("tailer", "F14", "I5"),
    ("snapshot", "F0b", "I5"),
]


@pytest.mark.long
@pytest.mark.parametrize(("guard", "number", "invariant"), TEETH)
def test_the_rig_notices_that_a_guard_is_missing(
    tmp_path_factory: pytest.TempPathFactory, guard: str, number: str, invariant: str
) -> None:
    directory = tmp_path_factory.mktemp("toothless")
    with running_cluster(directory, workers=2, services=False, seed=SEED, without=guard) as toothless:
        verdict = run(toothless, fault(number), seed=SEED, customers=CUSTOMERS)
    assert any(violation.startswith(invariant) for violation in verdict.violations), verdict
