"""A few of the payments that `make faults` breaks one by one; and the proof that the judge would notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.many.between import Between
from tests.faults.many.run import Slice, lied_to
from tests.faults.many.shoppers import Counter, Shopper
from tests.faults.many.ways import FAULTS, Fault
from tests.faults.rig.cluster import Cluster, running_cluster
from tests.faults.rig.history import History

WITH_SERVICES = "PAPO_TEST_SERVICES" in os.environ
SEED = 1


def _fault(number: str) -> Fault:
    return next(fault for fault in FAULTS if fault.number == number)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Between]]:
    directory = tmp_path_factory.mktemp("many")
    with (
        running_cluster(directory, workers=2, services=WITH_SERVICES, seed=SEED) as found,
        lied_to(found) as between,
    ):
        yield found, between


@pytest.mark.parametrize("number", ["F12", "F13"])
def test_each_payment_with_a_fault_of_its_own_ends_as_the_phone_paid(
    cluster: tuple[Cluster, Between], number: str
) -> None:
    verdict = Slice(*cluster, _fault(number), payments=8, seed=SEED).run()
    assert verdict.violations == []
    assert (verdict.counts["COMPLETED"], verdict.counts["paid"]) == (8, 8)


def test_a_shopper_whose_answer_was_lost_learns_of_the_payment_from_the_paid_order(
    cluster: tuple[Cluster, Between],
) -> None:
    shop = Slice(*cluster, _fault("F13"), payments=1, seed=SEED)
    assert shop.run().violations == []
    first = shop.visits[0].shopper
    again = Shopper(first.phone_number, {}, order_id=first.order_id)
    Counter(cluster[0].base_url, cluster[0].simulator_url, History(cluster[0].directory / "again.jsonl")).push(again)
    assert again.transaction_ids == first.transaction_ids


@pytest.mark.long
@pytest.mark.parametrize("number", ["F14d", "F16", "F18a"])
def test_late_double_and_contradicted_money_is_told_truly(cluster: tuple[Cluster, Between], number: str) -> None:
    verdict = Slice(*cluster, _fault(number), payments=6, seed=SEED).run()
    assert verdict.violations == []
    assert verdict.counts["COMPLETED"] == verdict.counts["paid"] >= 6
    assert verdict.counts["lies told"] > 0


# The guard that is taken away, the fault that shows it, and what is then violated.
TEETH = [("transition guard", "F13", "I1"), ("inbox", "F12", "I1"), ("asking", "F11c", "I1")]


@pytest.mark.long
@pytest.mark.parametrize(("guard", "number", "invariant"), TEETH)
def test_the_judge_notices_that_a_guard_is_missing(tmp_path: Path, guard: str, number: str, invariant: str) -> None:
    with (
        running_cluster(tmp_path, workers=2, services=False, seed=SEED, without=guard) as toothless,
        lied_to(toothless) as between,
    ):
        verdict = Slice(toothless, between, _fault(number), payments=8, seed=SEED).run()
    assert any(violation.startswith(invariant) for violation in verdict.violations), verdict
