"""Several ways to run Papo beside each other: one column each, one line for each figure."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.apps import App, own_database, papo_app
from bench.machine import Strangers, description

Way = Mapping[str, Any]  # what `papo_app` is given


@dataclass
class Comparison:
    """Figures by name, and in each of them a value for each column; `others`: cores that strangers kept busy."""

    columns: Sequence[str]
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: float = 0.0

    def put(self, figure: str, column: str, value: Any) -> None:
        self.figures.setdefault(figure, {})[column] = value

    def median(self, figure: str, column: str, values: Sequence[float]) -> None:
        self.put(figure, column, median(values))

    def table(self) -> str:
        """Return the figures as Markdown."""
        lines = [["", *self.columns], ["---", *["---:"] * len(self.columns)]]
        lines += [[name, *(_text(values.get(each)) for each in self.columns)] for name, values in self.figures.items()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def footnote(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M %Z")
        return (
            f"{when}, {description()}; others kept {self.others:.2f} cores busy, load average {os.getloadavg()[0]:.1f}."
        )

    def write(self, path: Path) -> None:
        document = {"measured": self.footnote(), "figures": self.figures}
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


@contextmanager
def side_by_side(
    ways: Mapping[str, Way], directory: Path, services: dict[str, str], *, payments: int
) -> Iterator[dict[str, App]]:
    """Serve one Papo in each way, each with a PostgreSQL database of its own."""
    with ExitStack() as stack:
        apps = {}
        for name, way in ways.items():
            url = stack.enter_context(own_database(services["DATABASE_URL"]))
            settings = {"DATABASE_URL": url, "REDIS_URL": services["REDIS_URL"], **way}
            apps[name] = stack.enter_context(papo_app(directory / name, payments=payments, **settings))
        yield apps


def compared(columns: Sequence[str], measure: Callable[[Comparison], None]) -> Comparison:
    """Return what `measure` has put, with the cores that others kept busy meanwhile."""
    found, strangers = Comparison(columns), Strangers()
    measure(found)
    found.others = strangers.cores()
    return found
