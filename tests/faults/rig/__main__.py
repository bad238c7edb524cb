"""`make faults`: every fault, so many times, and the table in docs/reliability.md written from what was seen.

It can be stopped at any time and goes on where it was: each finished run is a line of var/faults.jsonl.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import traceback
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.rig.cluster import Cluster, running_cluster
from tests.faults.rig.faults import FAULTS, clocks
from tests.faults.rig.faults.fault import Fault, Missed
from tests.faults.rig.machines import has_disks
from tests.faults.rig.results import RESULTS, write_table
from tests.faults.rig.run import run


@dataclass(frozen=True)
class Profile:
    """What Papo runs on."""

    name: str
    workers: int
    services: bool
    nginx: bool = False
    chromium: bool = False

    def can(self, fault: Fault) -> bool:
        """Return whether the set-up has what the fault needs; the one of four processes is for those that need four.

        Real browsers are for what happens to pages.
        """
        if (self.workers > 2) != ("four" in fault.needs):
            return False
        if self.chromium and not fault.is_of_pages and "chromium" not in fault.needs:
            return False
        has = {"services" if self.services else "sqlite", "two" if self.workers > 1 else "one", "four"}
        has |= {"chromium"} if self.chromium else set()
        return fault.needs - {"disks", "clock"} <= has


PROFILES = (
    Profile("SQLite, one process", 1, services=False),
    Profile("SQLite, two processes", 2, services=False),
    Profile("SQLite, four processes", 4, services=False),
    Profile("PostgreSQL and Redis, two processes", 2, services=True),
    Profile("PostgreSQL and Redis, two processes behind nginx", 2, services=True, nginx=True),
    Profile("the same behind nginx, with pages in Chromium", 2, services=True, nginx=True, chromium=True),
)
LONG_ONES = 5  # times as rarely


def main() -> int:
    options = _options()
    give_up = time.monotonic() + options.minutes * 60
    chosen = [PROFILES[number] for number in options.profiles]
    for index, profile in enumerate(chosen):
        left = give_up - time.monotonic()  # each has its share, and what those before it have not used
        _break(profile, options, give_up=time.monotonic() + left / (len(chosen) - index))
    write_table(FAULTS, _why_not)
    return 1 if any(result["violations"] for result in RESULTS) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rig", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each fault on each set-up, of long ones fewer; 3")
    parser.add_argument("--customers", type=int, default=6, help="who buy in one run; default 6")
    parser.add_argument("--faults", nargs="*", default=[], help="only these, by their numbers; default all")
    everything = range(len(PROFILES))
    parser.add_argument("--profiles", nargs="*", type=int, default=everything, help="only these set-ups, from 0")
    parser.add_argument("--minutes", type=float, default=60, help="after which no run begins; default 60")
    return parser.parse_args()


def _why_not(fault: Fault) -> str:
    """Return why a fault cannot be had on this machine; empty when it can."""
    if "disks" in fault.needs and not has_disks():
        return "needs root"
    return "needs faketime" if "clock" in fault.needs and not clocks.library() else ""


def _wanted(profile: Profile, options: argparse.Namespace) -> list[tuple[Fault, int]]:
    """Return what is still to be done with its seeds, what was done least on any set-up first."""
    finished, numbers = {_name_of(result) for result in RESULTS}, options.faults or [fault.number for fault in FAULTS]
    able = [fault for fault in FAULTS if fault.number in numbers and profile.can(fault) and not _why_not(fault)]
    runs = Counter(number for _profile, number, _seed in finished)
    wanted = []
    for seed in range(1, options.runs + 1):
        for fault in able:
            if (profile.name, fault.number, seed) not in finished and not (fault.is_long and seed % LONG_ONES != 1):
                runs[fault.number] += 1
                wanted.append((runs[fault.number], fault, seed))
    return [(fault, seed) for _runs, fault, seed in sorted(wanted, key=lambda each: each[0])]


def _name_of(result: dict[str, Any]) -> tuple[str, str, int]:
    return result["profile"], result["fault"], result["seed"]


def _break(profile: Profile, options: argparse.Namespace, *, give_up: float) -> None:
    """Do what is wanted on one set-up, and on another of the same where a run has left one in any state."""
    wanted = _wanted(profile, options)
    while wanted and time.monotonic() < give_up:
        directory = Path(tempfile.mkdtemp(prefix="papo-faults-"))
        print(f"{profile.name}: {len(wanted)} runs, histories in {directory}", flush=True)
        try:
            with _running(profile, directory) as cluster:
                while wanted and time.monotonic() < give_up:
                    if not _run(cluster, profile, *wanted.pop(0), customers=options.customers):
                        break
        except Exception:
            print(f"{profile.name}: not begun or not ended well, see {directory}", flush=True)
            traceback.print_exc()
            return


def _running(profile: Profile, directory: Path) -> AbstractContextManager[Cluster]:
    return running_cluster(
        directory,
        workers=profile.workers,
        services=profile.services,
        nginx=profile.nginx,
        chromium=profile.chromium,
        seed=random.randrange(10**6),  # of the proxies' own delays; that of a run decides everything else
    )


def _run(cluster: Cluster, profile: Profile, fault: Fault, seed: int, *, customers: int) -> bool:
    """Run once and keep what was found; False when the rig itself did not get through."""
    begin = time.monotonic()
    try:
        verdict = run(cluster, fault, seed=seed, customers=customers)
    except Missed as moment:
        print(f"  {fault.number} seed {seed}: no run, {moment} never came", flush=True)
        return True
    except Exception:
        print(f"  {fault.number} seed {seed}: no run, the rig failed in {cluster.directory}", flush=True)
        traceback.print_exc()
        return False
    RESULTS.keep({"profile": profile.name, "fault": fault.number, "seed": seed, **asdict(verdict)})
    found = f"{len(verdict.violations)} violations in {time.monotonic() - begin:.0f} s"
    print(f"  {fault.number} seed {seed}: {found}", *verdict.violations, sep="\n    ", flush=True)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
