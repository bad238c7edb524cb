"""`make faults`: every fault, so many times, and the table in docs/reliability.md written from what was seen.

It can be stopped at any time and goes on where it was: each finished run is a line of var/faults.jsonl.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults import FAULTS, clocks
from tests.faults.rig.faults.fault import Fault, Missed
from tests.faults.rig.machines import has_disks
from tests.faults.rig.profiles import PROFILES, Profile
from tests.faults.rig.results import RESULTS, write_table
from tests.faults.rig.run import run

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
            with profile.running(directory) as cluster:
                while wanted and time.monotonic() < give_up:
                    if not _run(cluster, profile, *wanted.pop(0), customers=options.customers):
                        break
        except Exception:
            print(f"{profile.name}: not begun or not ended well, see {directory}", flush=True)
            traceback.print_exc()
            return


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
