"""What every run has shown, one line of var/faults.jsonl each, and the table of it in docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from tests.faults.record import Record, spread, write_lines
from tests.faults.rig.faults.fault import Fault

RESULTS = Record("faults.jsonl")
HEAD = (
    "| Fault | What breaks | Runs | Payments | Paid | Unknowable | Violations "
    "| Pages right after, s: median · p99 · worst |"
)  # fmt: skip


def write_table(faults: Iterable[Fault], why_not: Callable[[Fault], str]) -> None:
    """Write what all runs have shown into the document; `why_not`: why a fault cannot be had here, if it cannot."""
    results = list(RESULTS)
    lines = [HEAD, "|---|---|--:|--:|--:|--:|--:|---|", *(line for each in faults if (line := _line(each, why_not)))]
    kinds = ", ".join(
        f"{count} on {profile}" for profile, count in Counter(each["profile"] for each in results).items()
    )
    payments, violations = sum(each["payments"] for each in results), sum(len(each["violations"]) for each in results)
    lines += ["", f"{len(results)} runs with {payments:,} payments, {violations} violations: {kinds}."]
    write_lines(lines, of="`make faults` writes")


def _line(fault: Fault, why_not: Callable[[Fault], str]) -> str:
    found = [result for result in RESULTS if result["fault"] == fault.number]
    if not found:
        return f"| {fault.number} | {fault.what} | not run: {why_not(fault)} | | | | | |" if why_not(fault) else ""
    sums = [sum(result[name] for result in found) for name in ("payments", "paid", "unknowable")]
    violations = sum(len(result["violations"]) for result in found)
    pages = spread((second for result in found for second in result["convergence"]), digits=1)
    drawn = sum(result.get("injections", 1) for result in found)
    runs = f"{len(found)}" if drawn == len(found) else f"{len(found)} ({drawn} injections)"
    return f"| {fault.number} | {fault.what} | {runs} | {' | '.join(map(str, sums))} | {violations} | {pages} |"
