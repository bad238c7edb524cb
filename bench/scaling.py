"""What many waiting customers need, worked out on paper from measured figures: `python -m bench.scaling`.

Nothing is measured here. `--json FILE` takes the figures of a run of `make bench --json`; without it those that the
documents show are used. What nobody has measured has no figure, and whatever would need it says so.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CUSTOMERS = (10_000, 100_000, 1_000_000)
RUN = "docs/benchmarks.md, 26 November 2026"
WAIT = 60  # seconds that a customer waits, on average: an assumption, the length of a prompt

# As the code and deploy/ have them; tests/test_scaling.py compares.
SOCKETS_PER_PROCESS = 5_000
HEARTBEAT_SECONDS = 15
CONNECTIONS_PER_PROCESS = 24
PUSHES_PER_SECOND, MOST_PUSHES_PER_SECOND = 20, 1000
NGINX_CALLBACKS_PER_SECOND = 200  # of one address
POSTGRESQL_CONNECTIONS = 100  # PostgreSQL's own default


@dataclass(frozen=True)
class Figure:
    """One measured figure; `value` is None while nobody has measured it, and `source` then says which row would."""

    value: float | None
    unit: str
    source: str


@dataclass(frozen=True)
class Figures:
    callback: Figure = Figure(180.51, "callbacks a second and core", f"row 3, {RUN}")
    opening: Figure = Figure(729.93, "sockets opened a second and core", f"row 7, {RUN}")
    memory: Figure = Figure(23.39, "KB per open socket", f"row 6, {RUN}")
    naive_poll: Figure = Figure(412.07, "polls a second and core of the naive shop", f"row 9, {RUN}")
    waiting_bytes: Figure = Figure(634, "bytes per customer and minute of waiting", "row 20, docs/accessibility.md")


def figures_of(path: Path) -> Figures:
    """Return the figures of a run of `make bench`; those of rows that it did not measure stay as they are."""
    run = json.loads(path.read_text())
    lines = {line["row"]: line for line in reversed(run["lines"])}  # of a row the first line

    def read(row: int, name: str, known: Figure) -> Figure:
        value = lines.get(row, {}).get(name)
        return known if value is None else Figure(value, known.unit, f"row {row} of {path.name}")

    known = Figures()
    return Figures(
        callback=read(3, "papo", known.callback),
        opening=read(7, "papo", known.opening),
        memory=read(6, "papo", known.memory),
        naive_poll=read(9, "naive", known.naive_poll),
        waiting_bytes=known.waiting_bytes,
    )


@dataclass(frozen=True)
class Row:
    """One line of the table: what it says for each number of customers, None where a figure is missing."""

    name: str
    cells: list[float | None]
    unit: str
    how: str


def rows(figures: Figures) -> list[Row]:
    """Return what each number of waiting customers needs."""
    visits = [customers / WAIT for customers in CUSTOMERS]
    processes = [math.ceil(customers / SOCKETS_PER_PROCESS) for customers in CUSTOMERS]
    in_megabits = 8 / 60 / 1e6
    return [
        _row("visits, callbacks", visits, "/s", f"derived: each waits {WAIT} s"),
        _needs("app cores for callbacks", visits, "", figures.callback, 1, divides=True),
        _needs("app cores for opening sockets", visits, "", figures.opening, 1, divides=True),
        _needs("app memory for sockets", CUSTOMERS, "GB", figures.memory, 1 / 1e6),
        _row("server processes", processes, "", f"derived: {SOCKETS_PER_PROCESS:,} sockets each at most"),
        _row("database connections at most", [each * CONNECTIONS_PER_PROCESS for each in processes], "",
             f"derived: a pool of {CONNECTIONS_PER_PROCESS} each"),
        _row("tailers' queries", processes, "/s", "derived: one a second and process"),
        _row("heartbeats", [each / HEARTBEAT_SECONDS for each in CUSTOMERS], "/s",
             f"derived: every {HEARTBEAT_SECONDS} s"),
        _needs("bytes out while waiting", CUSTOMERS, "Mbit/s", figures.waiting_bytes, in_megabits),
        _needs("for comparison: cores under 3 s polling", [each / 3 for each in CUSTOMERS], "", figures.naive_poll, 1,
               divides=True),
    ]  # fmt: skip


def _row(name: str, values: Sequence[float], unit: str, how: str) -> Row:
    return Row(name, list(values), unit, how)


def _needs(
    name: str, amounts: Sequence[float], unit: str, figure: Figure, factor: float, *, divides: bool = False
) -> Row:
    """Return a line that multiplies with a measured figure, or divides by it."""
    if figure.value is None:
        return Row(name, [None] * len(amounts), unit, f"needs {figure.unit}: not measured ({figure.source})")
    each = factor / figure.value if divides else factor * figure.value
    how = f"derived from {figure.value:.4g} {figure.unit} (measured: {figure.source})"
    return Row(name, [amount * each for amount in amounts], unit, how)


@dataclass(frozen=True)
class Limit:
    """What stops growing: with how many waiting customers, and what to do then."""

    customers: int
    name: str
    then: str


def limits() -> list[Limit]:
    """Return the limits that the settings set, the first to break first; what the hardware sets is in the table."""
    pooled = POSTGRESQL_CONNECTIONS // CONNECTIONS_PER_PROCESS
    found = [
        Limit(PUSHES_PER_SECOND * WAIT, f"`PUSHES_PER_SECOND`, {PUSHES_PER_SECOND} by default, of all workers together",
              "raise it to what Safaricom grants you"),
        Limit(SOCKETS_PER_PROCESS, f"one process takes {SOCKETS_PER_PROCESS:,} sockets", "another worker"),
        Limit(NGINX_CALLBACKS_PER_SECOND * WAIT,
              f"`limit_req` in deploy/nginx lets {NGINX_CALLBACKS_PER_SECOND} callbacks a second of one address pass, "
              "if Safaricom has only one", "raise `rate`"),
        Limit(pooled * SOCKETS_PER_PROCESS,
              f"PostgreSQL's default of {POSTGRESQL_CONNECTIONS} connections holds the full pools of {pooled} workers",
              "`max_connections`, then a pooler in front of it"),
        Limit(MOST_PUSHES_PER_SECOND * WAIT,
              f"`PUSHES_PER_SECOND` can be {MOST_PUSHES_PER_SECOND:,} at most, and its count queues on one row",
              "measure that queue, then raise the bound; or several Papos, each with a database of its own"),
    ]  # fmt: skip
    return sorted(found, key=lambda limit: limit.customers)


def table(figures: Figures) -> str:
    """Return the needs and the limits as Markdown."""
    head = ["waiting customers", *(f"{each:,}" for each in CUSTOMERS), "how it is known"]
    lines = [head, ["---", *["---:"] * len(CUSTOMERS), "---"]]
    lines += [[row.name, *(_cell(each, row.unit) for each in row.cells), row.how] for row in rows(figures)]
    first = [["breaks at", "what", "then"], ["---:", "---", "---"]]
    first += [[f"{limit.customers:,}", limit.name, limit.then] for limit in limits()]
    return "\n\n".join("\n".join(f"| {' | '.join(line)} |" for line in each) for each in (lines, first))


def _cell(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    number = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
    return f"{number} {unit}".replace(" /s", "/s").strip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="figures that `python -m bench --json` wrote")
    options: Any = parser.parse_args(arguments)
    print(table(figures_of(options.json) if options.json else Figures()))


if __name__ == "__main__":
    main()
