"""A minute of what `make soak` does for an hour."""

from __future__ import annotations

import pytest

from tests.faults.soak.__main__ import is_at_rest, soak


@pytest.mark.parametrize(
    ("sessions", "at_rest"),
    [
        ([], False),
        ([26], False),
        ([26, 26, 26], True),
        ([26, 24, 26], False),
        ([40, 26, 26, 24], False),
        ([40, 24, 28, 26], True),
    ],
)
def test_sessions_are_at_rest_when_none_was_given_back_for_two_samples(sessions: list[int], at_rest: bool) -> None:
    samples = [{"seconds": 10.0 * number, "postgresql": held} for number, held in enumerate(sessions)]
    assert is_at_rest(samples, 20.0) is at_rest


@pytest.mark.long
@pytest.mark.services
def test_a_minute_of_faults_loses_nothing_and_leaves_no_task_behind() -> None:
    outcome = soak(minutes=1, rate=3, seed=1, every=5.0)
    assert outcome.violations == []
    assert outcome.stumbled == []
    assert len(outcome.faults) == 5
    assert outcome.counts["paid"] > 100
    tasks = [each for each in outcome.held if "tasks" in each.what]
    assert len(tasks) == 2
    assert all(each.is_given_back for each in tasks), tasks
