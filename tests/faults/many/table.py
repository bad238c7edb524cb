"""The table of the many payments in docs/reliability.md."""

from __future__ import annotations

from typing import Any

from tests.faults.many.faults import FAULTS, AnyFault
from tests.faults.record import spread, write_lines
from tests.faults.rig.profiles import ONE_ON_SQLITE, TWO_ON_SERVICES, TWO_ON_SQLITE

HEAD = [
    "| Fault | What happens to each payment | Set-up | Payments with a fault of their own | Paid | COMPLETED | FAILED "
    "| Unknowable | Violations | Page after the change, s: median · p99 · worst |",
    "|---|---|---|--:|--:|--:|--:|--:|--:|---|",
]
SHORT = {TWO_ON_SERVICES.name: "PostgreSQL", TWO_ON_SQLITE.name: "SQLite × 2", ONE_ON_SQLITE.name: "SQLite × 1"}
COUNTED = ("payments", "paid", "COMPLETED", "FAILED", "unknowable")


def write(results: list[dict[str, Any]]) -> None:
    """Put one line for each fault and set-up into the document."""
    lines = [*HEAD, *(line for fault in FAULTS for profile in SHORT if (line := _line(fault, profile, results)))]
    total = sum(result["counts"]["payments"] for result in results)
    lines += ["", f"{total:,} payments in all, {sum(len(result['violations']) for result in results)} violations."]
    write_lines(lines, of="`make faults` counts by payment")


def _line(fault: AnyFault, profile: str, results: list[dict[str, Any]]) -> str:
    mine = [result for result in results if (result["fault"], result["profile"]) == (fault.number, profile)]
    if not mine:
        return ""
    counts = [f"{sum(result['counts'].get(name, 0) for result in mine):,}" for name in COUNTED]
    violations = sum(len(result["violations"]) for result in mine)
    pages = spread((second for result in mine for second in result["convergence"]), digits=2)
    return f"| {fault.number} | {fault.what} | {SHORT[profile]} | {' | '.join(counts)} | {violations} | {pages} |"
