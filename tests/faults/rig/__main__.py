"""`make faults`: every fault, so many times, and the table in docs/reliability.md written from what was seen.

It can be stopped at any time and goes on where it was: each finished run is a line of var/faults.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.faults.rig.cluster import running_cluster
from tests.faults.rig.faults import FAULTS
from tests.faults.rig.faults.fault import Fault
from tests.faults.rig.run import run
from tests.server import REPOSITORY

RESULTS = REPOSITORY / "var" / "faults.jsonl"
DOCUMENT = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- begin of what `make faults` writes -->", "<!-- end of what `make faults` writes -->"


@dataclass(frozen=True)
class Profile:
    """What Papo runs on."""

    name: str
    workers: int
    services: bool

    def can(self, fault: Fault) -> bool:
        has = {"services"} if self.services else {"sqlite"}
        return fault.needs <= has | ({"two"} if self.workers > 1 else set())


PROFILES = (
    Profile("SQLite, one process", 1, services=False),
    Profile("SQLite, two processes", 2, services=False),
    Profile("PostgreSQL and Redis, two processes", 2, services=True),
)


def main() -> int:
    options = _options()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    give_up = time.monotonic() + options.minutes * 60
    for profile in PROFILES:
        wanted = [
            (fault, seed) for seed in range(1, options.runs + 1) for fault in FAULTS if profile.can(fault)
            if (profile.name, fault.number, seed) not in _done() and fault.number in (options.faults or [fault.number])
        ]  # fmt: skip
        _break(profile, wanted, customers=options.customers, give_up=give_up)
    _write_table()
    return 1 if any(result["violations"] for result in _results()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rig", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each fault on each profile; default 3")
    parser.add_argument("--customers", type=int, default=6, help="who buy in one run; default 6")
    parser.add_argument("--faults", nargs="*", default=[], help="only these, by their numbers; default all")
    parser.add_argument("--minutes", type=float, default=60, help="after which no run begins; default 60")
    return parser.parse_args()


def _break(profile: Profile, wanted: list[tuple[Fault, int]], *, customers: int, give_up: float) -> None:
    if not wanted or time.monotonic() > give_up:
        return
    directory = Path(tempfile.mkdtemp(prefix="papo-faults-"))
    print(f"{profile.name}: {len(wanted)} runs, histories in {directory}", flush=True)
    with running_cluster(
        directory, workers=profile.workers, services=profile.services, seed=random.randrange(10**6)
    ) as cluster:  # the seed of the proxies' own delays; that of a run decides everything else
        for fault, seed in wanted:
            if time.monotonic() > give_up:
                return
            verdict = run(cluster, fault, seed=seed, customers=customers)
            _keep({"profile": profile.name, "fault": fault.number, "seed": seed, **asdict(verdict)})
            print(
                f"  {fault.number} seed {seed}: {len(verdict.violations)} violations", *verdict.violations, sep="\n    "
            )


def _keep(result: dict[str, Any]) -> None:
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")


def _results() -> Iterator[dict[str, Any]]:
    if RESULTS.exists():
        yield from map(json.loads, RESULTS.read_text().splitlines())


def _done() -> set[tuple[str, str, int]]:
    return {(result["profile"], result["fault"], result["seed"]) for result in _results()}


def _write_table() -> None:
    lines = [
        "| Fault | What breaks | Runs | Payments | Paid | Unknowable | Violations "
        "| Pages right after, s: median · p99 · worst |"
    ]
    lines += ["|---|---|--:|--:|--:|--:|--:|---|", *(line for fault in FAULTS if (line := _line(fault)))]
    runs = Counter(result["profile"] for result in _results())
    lines += ["", "Runs: " + ", ".join(f"{count} on {profile}" for profile, count in runs.items()) + "."]
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def _line(fault: Fault) -> str:
    results = [result for result in _results() if result["fault"] == fault.number]
    if not results:
        return ""
    sums = [sum(result[name] for result in results) for name in ("payments", "paid", "unknowable")]
    violations = sum(len(result["violations"]) for result in results)
    seconds = sorted(second for result in results for second in result["convergence"])
    spread = f"{_percentile(seconds, 50):.1f} · {_percentile(seconds, 99):.1f} · {seconds[-1]:.1f}" if seconds else "-"
    return (
        f"| {fault.number} | {fault.what} | {len(results)} | {' | '.join(map(str, sums))} | {violations} | {spread} |"
    )


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


if __name__ == "__main__":
    raise SystemExit(main())
