"""Whether two kinds of answers can be told apart by the time that they take."""

from __future__ import annotations

import statistics

SEPARABLE = 10.0  # Welch's t from which two means are told apart beyond doubt, on a machine that does other things too


def welch(one: list[float], two: list[float]) -> float:
    """Return Welch's t of two samples: far from 0, their means differ."""
    spread = (statistics.variance(one) / len(one) + statistics.variance(two) / len(two)) ** 0.5
    return (statistics.fmean(one) - statistics.fmean(two)) / spread if spread else 0.0
