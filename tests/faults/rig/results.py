"""What was found, one line of var/faults.jsonl for each finished run, and the table of it in docs/reliability.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from statistics import quantiles
from typing import Any

from tests.faults.rig.faults.fault import Fault
from tests.server import REPOSITORY

RESULTS = REPOSITORY / "var" / "faults.jsonl"
DOCUMENT = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- begin of what `make faults` writes -->", "<!-- end of what `make faults` writes -->"
HEAD = (
    "| Fault | What breaks | Runs | Payments | Paid | Unknowable | Violations "
    "| Pages right after, s: median · p99 · worst |"
)  # fmt: skip


def keep(result: dict[str, Any]) -> None:
    """Add a finished run."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")


def results() -> Iterator[dict[str, Any]]:
    """Return every finished run."""
    if RESULTS.exists():
        yield from map(json.loads, RESULTS.read_text().splitlines())


def done() -> set[tuple[str, str, int]]:
    """Return profile, fault and seed of every finished run."""
    return {(result["profile"], result["fault"], result["seed"]) for result in results()}


def write_table(faults: Iterable[Fault], why_not: Callable[[Fault], str]) -> None:
    """Write what all runs have shown into the document; `why_not`: why a fault cannot be had here, if it cannot."""
    lines = [HEAD, "|---|---|--:|--:|--:|--:|--:|---|", *(line for each in faults if (line := _line(each, why_not)))]
    runs = Counter(result["profile"] for result in results())
    payments = sum(result["payments"] for result in results())
    kinds = ", ".join(f"{count} on {profile}" for profile, count in runs.items())
    lines += ["", f"{runs.total()} runs with {payments} payments: {kinds}."]
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def _line(fault: Fault, why_not: Callable[[Fault], str]) -> str:
    found = [result for result in results() if result["fault"] == fault.number]
    if not found:
        return f"| {fault.number} | {fault.what} | not run: {why_not(fault)} | | | | | |" if why_not(fault) else ""
    sums = [sum(result[name] for result in found) for name in ("payments", "paid", "unknowable")]
    violations = sum(len(result["violations"]) for result in found)
    seconds = sorted(second for result in found for second in result["convergence"])
    spread = f"{_percentile(seconds, 50):.1f} · {_percentile(seconds, 99):.1f} · {seconds[-1]:.1f}" if seconds else "-"
    return f"| {fault.number} | {fault.what} | {len(found)} | {' | '.join(map(str, sums))} | {violations} | {spread} |"


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
