"""Measure and print: `python -m bench`, or `--quick` to see that it works."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import capacity, rows
from bench.apps import forget_settings
from bench.figures import Line
from bench.machine import LOAD_CORE, SERVER_CORE, Strangers, description
from bench.report import notes, table, write_json
from bench.rows import QUICK, NotMeasured, Plan
from bench.wire import Refused
from tests.services import running_services

FAILURES = (NotMeasured, Refused, TimeoutError, OSError, AssertionError, subprocess.SubprocessError)

ROWS = dict(sorted((rows.ROWS | capacity.ROWS).items()))
LAST_WORDS = 3000  # characters of what a server that failed has logged


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when everything was measured, whatever it came to."""
    options = _options(arguments)
    plan = replace(QUICK if options.quick else Plan(), **_repetitions(options))
    about = _about(plan)
    print(about["machine"], _pinning(), f"load average at the start {_load()}", sep="\n", flush=True)
    forget_settings()
    try:
        measured = list(_measured(plan, options.rows))
    except FAILURES as failure:
        print(f"Not measured: {type(failure).__name__}: …{str(failure)[-LAST_WORDS:]}", file=sys.stderr)
        return 1
    about["load_average_at_the_end"] = _load()
    _print(measured, about, is_quick=options.quick)
    if options.json:
        write_json(options.json, about, measured)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few callbacks only: shows that it works, no more")
    parser.add_argument("--rows", type=int, nargs="+", choices=ROWS, default=list(ROWS), help="only these rows")
    parser.add_argument("--repetitions", type=int, help="of each measurement; its figure is their median")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def _repetitions(options: argparse.Namespace) -> dict[str, int]:
    return {"repetitions": options.repetitions} if options.repetitions else {}


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "measured_at": time.strftime("%Y-%m-%d %H:%M %Z"),
        "machine": description(),
        "load_average_at_the_start": _load(),
        "plan": asdict(plan),
    }


def _pinning() -> str:
    return f"servers on core {_cores(SERVER_CORE)}, load on core {_cores(LOAD_CORE)}, PostgreSQL and Redis on either"


def _cores(cores: set[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f}"


def _measured(plan: Plan, rows: Sequence[int]) -> Iterator[tuple[Line, float]]:
    """Yield the lines of the rows, each with the cores that other programs kept busy meanwhile."""
    with running_services(durable=True) as services:
        for row in rows:
            print(f"Measuring row {row} ...", flush=True)
            strangers = Strangers()
            with tempfile.TemporaryDirectory(prefix="papo-bench-") as directory:
                lines = ROWS[row](plan, Path(directory), services)
            cores = strangers.cores()
            yield from ((line, cores) for line in lines)


def _print(measured: Sequence[tuple[Line, float]], about: dict[str, Any], *, is_quick: bool) -> None:
    print("", table(measured), "", *notes(measured), sep="\n")
    print(f"{about['measured_at']}; load average at the end {about['load_average_at_the_end']}.")
    if is_quick:
        print("A quick run: too little was measured to be compared with anything.")


if __name__ == "__main__":
    sys.exit(main())
