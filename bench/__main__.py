"""Measure and print: `python -m bench`, or `--quick` to see that it works."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import capacity, crowds, document, embedded, report, results, rows, screens, waiting, workers
from bench.apps import forget_settings
from bench.machine import LOAD_CORE, SERVER_CORE, Strangers, description
from bench.results import Results
from bench.rows import QUICK, NotMeasured, Plan
from bench.wire import Refused
from tests.server import REPOSITORY
from tests.services import running_services

FAILURES = (NotMeasured, Refused, TimeoutError, OSError, AssertionError, SystemExit, subprocess.SubprocessError)

RESULTS = REPOSITORY / "var" / "bench.json"
ALL_ROWS = rows.ROWS | capacity.ROWS | crowds.ROWS | embedded.ROWS | screens.ROWS | waiting.ROWS | workers.ROWS
# What matters most comes first, so that a run that is stopped has it.
ORDER = (1, 2, 3, 6, 9, 12, 13, 15, 5, 8, 10, 11, 14, 16, 20)
ROWS = {row: ALL_ROWS[row] for row in sorted(ALL_ROWS, key=lambda row: (*ORDER, row).index(row))}
# How long each row takes on two quiet cores, to say beforehand how long a run will take.
SECONDS = {1: 155, 2: 140, 3: 75, 5: 75, 6: 25, 8: 155, 9: 45, 10: 110, 11: 75, 12: 60, 13: 115, 14: 50, 15: 45,
           16: 65, 20: 70}  # fmt: skip
BESIDE = {11: 20}  # both leave the machine alone for a minute
QUICK_SECONDS, UNKNOWN_SECONDS = 10, 60  # a row; and one that has no figure above
LAST_WORDS = 3000  # characters of what a server that failed has logged


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when everything was measured, whatever it came to."""
    options = _options(arguments)
    found = results.read(options.json) if options.resume and options.json.exists() else Results(_about(options))
    todo = [row for row in options.rows if row not in found.seconds]
    print(found.about["machine"], _pinning(), f"load average at the start {_load()}", sep="\n")
    expected = sum(_expected(turn, options) for turn in _turns(todo))
    print(f"{_minutes(expected)} for rows {', '.join(map(str, todo))}.", flush=True)
    forget_settings()
    _measure(todo, found, options)
    _print(found, is_quick=options.quick)
    if options.write and found.measured:
        document.put(document.BENCHMARKS, "make bench", report.in_words(found))
    return 1 if found.failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few callbacks only: shows that it works, no more")
    parser.add_argument("--rows", type=int, nargs="+", choices=ROWS, default=list(ROWS), help="only these rows")
    parser.add_argument("--repetitions", type=int, help="of each measurement; its figure is their median")
    parser.add_argument("--minutes", type=float, help="begin no row that would end later than this")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=RESULTS, help="written after each row; var/bench.json"
    )
    parser.add_argument("--resume", action="store_true", help="measure only the rows that the file does not have yet")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    return replace(plan, repetitions=options.repetitions) if options.repetitions else plan


def _about(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "measured_at": time.strftime("%Y-%m-%d %H:%M %Z"),
        "machine": description(),
        "load_average_at_the_start": _load(),
        "plan": asdict(_plan(options)),
    }


def _pinning() -> str:
    return f"servers on core {_cores(SERVER_CORE)}, load on core {_cores(LOAD_CORE)}, PostgreSQL and Redis on either"


def _cores(cores: set[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f}"


def _expected(turn: Sequence[int], options: argparse.Namespace) -> float:
    return QUICK_SECONDS if options.quick else max(SECONDS.get(row, UNKNOWN_SECONDS) for row in turn)


def _minutes(seconds: float) -> str:
    return f"About {max(1, round(seconds / 60))} min"


def _measure(todo: Sequence[int], found: Results, options: argparse.Namespace) -> None:
    """Measure the rows one after the other; what one of them came to is in the file before the next begins."""
    began, plan = time.monotonic(), _plan(options)
    with running_services(durable=True) as services:
        for turn in _turns(todo):
            if options.minutes and time.monotonic() - began + _expected(turn, options) > options.minutes * 60:
                print(f"Row {_named(turn)} is left out: it would end after {options.minutes:g} min.", flush=True)
                continue
            print(f"Measuring row {_named(turn)} ...", flush=True)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda row: _measure_row(row, plan, services, found), turn))
            found.about["load_average_at_the_end"] = _load()
            found.write(options.json)
    print(f"It took {(time.monotonic() - began) / 60:.1f} min.")


def _turns(todo: Sequence[int]) -> list[list[int]]:
    """Return the rows that are measured at once, in the order of the first of each."""
    second = [BESIDE[row] for row in todo if BESIDE.get(row) in todo]
    return [[row, *(other for other in second if BESIDE.get(row) == other)] for row in todo if row not in second]


def _named(rows_: Sequence[int]) -> str:
    return " and ".join(map(str, rows_))


def _measure_row(row: int, plan: Plan, services: dict[str, str], found: Results) -> None:
    began, strangers = time.monotonic(), Strangers()
    try:
        with tempfile.TemporaryDirectory(prefix="papo-bench-") as directory:
            lines = ROWS[row](plan, Path(directory), services)
    except FAILURES as failure:
        found.failed[row] = f"{type(failure).__name__}: …{str(failure)[-LAST_WORDS:]}"
        print(f"Not measured: {found.failed[row]}", file=sys.stderr)
    else:
        found.add(row, lines, others=strangers.cores(), seconds=time.monotonic() - began)


def _print(found: Results, *, is_quick: bool) -> None:
    print("", report.table(found.measured), "", *report.notes(found.measured), sep="\n")
    print(f"{found.about['measured_at']}; load average at the end {_load()}.")
    if is_quick:
        print("A quick run: too little was measured to be compared with anything.")


if __name__ == "__main__":
    sys.exit(main())
