"""Several ways to run Papo beside each other: one column each, one line for each figure."""

from __future__ import annotations

import argparse
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

from bench import document
from bench.apps import App, forget_settings, own_database, papo_app
from bench.machine import Strangers, description
from bench.rows import QUICK, Plan
from tests.services import running_services

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


Measure = Callable[[Plan, dict[str, str], Comparison], None]


def run(
    program: str, about: str, columns: Sequence[str], measure: Measure, arguments: Sequence[str] | None = None
) -> int:
    """Compare as the command line says: print the table, keep it as JSON, write it into docs/scaling.md."""
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("--quick", action="store_true", help="a few callbacks only: shows that it works, no more")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write", action="store_true", help="write the table into docs/scaling.md")
    options = parser.parse_args(arguments)
    forget_settings()
    found, strangers = Comparison(columns), Strangers()
    with running_services(durable=True) as services:
        measure(QUICK if options.quick else Plan(), services, found)
    found.others = strangers.cores()
    print(found.table(), "", found.footnote(), sep="\n")
    if options.json:
        found.write(options.json)
    if options.write:
        document.put(document.SCALING, program, f"{found.table()}\n\n{found.footnote()}")
    return 0
