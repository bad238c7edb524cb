"""A minute of what `make soak` does for an hour."""

from __future__ import annotations

import pytest

from tests.faults.soak.__main__ import soak

pytestmark = [pytest.mark.long, pytest.mark.services]


def test_a_minute_of_faults_loses_nothing_and_leaves_no_task_behind() -> None:
    outcome = soak(minutes=1, rate=3, seed=1, every=5.0)
    assert outcome.violations == []
    assert outcome.stumbled == []
    assert len(outcome.faults) == 5
    assert outcome.counts["paid"] > 100
    tasks = [each for each in outcome.held if "tasks" in each.what]
    assert len(tasks) == 2
    assert all(each.is_given_back for each in tasks), tasks
