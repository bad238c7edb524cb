"""A line of the table: Papo's figure, the floor's and the naive shop's of the same run, and what it should be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from bench.load import Sample


@dataclass(frozen=True)
class Target:
    """What a figure should be: `times` the floor or the naive shop, or so much of its own unit.

    `over`: what the figure is divided by. `at_least`: the bounds are the least, not the most.
    """

    must: float
    goal: float
    unit: str = "×"
    over: Literal["floor", "naive", ""] = "floor"
    at_least: bool = False

    def verdict(self, value: float) -> str:
        sign = -1 if self.at_least else 1
        if sign * value <= sign * self.goal:
            return "goal reached"
        return "ok" if sign * value <= sign * self.must else "missed"

    def bounds(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        naive = " naive" if self.over == "naive" else ""
        return [f"{sign} {bound:g}{self.unit}{naive}" for bound in (self.must, self.goal)]


@dataclass(frozen=True)
class Line:
    row: int
    figure: str
    unit: str
    papo: float | None  # None: only others are shown
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
        other = self.naive if self.target.over == "naive" else self.floor
        return self.target.verdict(self.papo / other if other and self.target.over else self.papo)


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


def per_core(sample: Sample) -> float:
    """Return how many were done for each second of the server's CPU."""
    return len(sample.answers) / sample.cpu if sample.cpu else math.inf
