"""The table of the many payments in docs/reliability.md."""

from __future__ import annotations

from statistics import quantiles
from typing import Any

from tests.faults.many import back, hand, ways
from tests.server import REPOSITORY

FAULTS = [*ways.FAULTS, *hand.FAULTS, *back.FAULTS]
DOCUMENT = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = (
    "<!-- begin of what `make faults` counts by payment -->",
    "<!-- end of what `make faults` counts by payment -->",
)
HEAD = [
    "| Fault | What happens to each payment | Set-up | Payments with a fault of their own | Paid | COMPLETED | FAILED "
    "| Unknowable | Violations | Page after the change, s: median · p99 · worst |",
    "|---|---|---|--:|--:|--:|--:|--:|--:|---|",
]
SHORT = {
    "PostgreSQL and Redis, two processes": "PostgreSQL",
    "SQLite, two processes": "SQLite × 2",
    "SQLite, one process": "SQLite × 1",
}


def write(results: list[dict[str, Any]]) -> None:
    """Put one line for each fault and set-up between the two marks of the document."""
    lines = [*HEAD, *(line for fault in FAULTS for name in SHORT if (line := _line(fault.number, name, results)))]
    total = sum(result["counts"]["payments"] for result in results)
    lines += ["", f"{total:,} payments in all, {sum(len(result['violations']) for result in results)} violations."]
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def _line(number: str, profile: str, results: list[dict[str, Any]]) -> str:
    mine = [result for result in results if (result["fault"], result["profile"]) == (number, profile)]
    if not mine:
        return ""
    what = next(fault.what for fault in FAULTS if fault.number == number)
    names = ("payments", "paid", "COMPLETED", "FAILED", "unknowable")
    counts = [f"{sum(result['counts'].get(name, 0) for result in mine):,}" for name in names]
    violations = sum(len(result["violations"]) for result in mine)
    seconds = sorted(second for result in mine for second in result["convergence"])
    return f"| {number} | {what} | {SHORT[profile]} | {' | '.join(counts)} | {violations} | {_spread(seconds)} |"


def _spread(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "-"
    percentiles = quantiles(seconds, n=100, method="inclusive")
    return f"{percentiles[49]:.2f} · {percentiles[98]:.2f} · {seconds[-1]:.2f}"
