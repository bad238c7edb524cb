"""A line of the table: Papo's figure, the floor's and the naive shop's of the same run, and what it should be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import Sample


@dataclass(frozen=True)
class Target:
    """The most that a figure may be: `times` the floor, or so much of its own unit."""

    must: float
    goal: float
    unit: str = "×"

    def verdict(self, value: float) -> str:
        if value <= self.goal:
            return "goal reached"
        return "ok" if value <= self.must else "missed"


@dataclass(frozen=True)
class Line:
    row: int
    figure: str
    unit: str
    papo: float | None
    floor: float | None = None
    naive: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.papo / self.floor if self.floor and self.papo is not None else None

    @property
    def naive_ratio(self) -> float | None:
        return self.naive / self.floor if self.floor and self.naive else None

    @property
    def verdict(self) -> str:
        if self.target is None or self.papo is None:
            return ""
        return self.target.verdict(self.papo if self.ratio is None else self.ratio)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0–1) of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def frames_at(share: float) -> Callable[[Sample], float]:
    return lambda sample: percentile(sample.frames, share)


def answers_at(share: float) -> Callable[[Sample], float]:
    return lambda sample: percentile(sample.answers, share)


def cpu_per_callback(sample: Sample) -> float:
    return sample.cpu / len(sample.frames)


def in_milliseconds(samples: Sequence[Sample], measure: Callable[[Sample], float]) -> float:
    """Return the median over the repetitions."""
    return 1000 * median(map(measure, samples))
