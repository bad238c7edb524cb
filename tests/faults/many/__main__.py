"""`make faults`, its second half: every fault of Daraja, payment by payment, and its table in docs/reliability.md.

It can be stopped at any time and goes on where it was: each finished slice is a line of var/many.jsonl.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.many.between import Between
from tests.faults.many.faults import FAULTS, AnyFault, run
from tests.faults.many.run import lied_to
from tests.faults.many.table import write
from tests.faults.record import Record
from tests.faults.rig.cluster import Cluster
from tests.faults.rig.profiles import ONE_ON_SQLITE, TWO_ON_SERVICES, TWO_ON_SQLITE, Profile

RESULTS = Record("many.jsonl")
AT_A_TIME = 25  # payments in a slice
AT_ONCE = 4  # slices, where a quiet machine can do with twice as many
SHOWN = 5  # violations of a slice; all of them are kept
PROFILES = (TWO_ON_SERVICES, TWO_ON_SQLITE, ONE_ON_SQLITE)


def main() -> int:
    options = _options()
    give_up = time.monotonic() + options.minutes * 60
    for profile in PROFILES:
        if not options.profiles or profile.name in options.profiles:
            _go_on(profile, options, give_up=give_up)
    write(list(RESULTS))
    return 1 if any(result["violations"] for result in RESULTS) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.many", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="after which no slice begins; default 60")
    parser.add_argument("--share", type=float, default=1, help="of each fault's payments; default 1, which is all")
    parser.add_argument("--faults", nargs="*", default=[], help="only these, by their numbers; default all")
    parser.add_argument("--profiles", nargs="*", default=[], help="only these set-ups, by their names; default all")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"slices of {AT_A_TIME}; default {AT_ONCE}")
    return parser.parse_args()


def _go_on(profile: Profile, options: argparse.Namespace, *, give_up: float) -> None:
    todo = [
        (fault, missing)
        for fault in FAULTS
        if not options.faults or fault.number in options.faults
        if (missing := round(fault.payments * options.share) - _done(profile, fault)) > 0
    ]
    if not todo or time.monotonic() > give_up:
        return
    directory = Path(tempfile.mkdtemp(prefix="papo-many-"))
    print(f"{profile.name}: histories in {directory}", flush=True)
    with profile.running(directory) as cluster, lied_to(cluster) as between:
        # Every fault a little before any of them more.
        turns = itertools.zip_longest(*([(fault, size) for size in _sizes(missing)] for fault, missing in todo))
        slices = [one for turn in turns for one in turn if one]
        for at_once, is_alone in ((options.at_once, False), (1, True)):
            with ThreadPoolExecutor(at_once) as pool:
                for fault, size in slices:
                    if fault.is_alone == is_alone:
                        pool.submit(_run, profile, cluster, between, fault, size, give_up)


def _sizes(missing: int) -> list[int]:
    return [min(AT_A_TIME, missing - begun) for begun in range(0, missing, AT_A_TIME)]


def _run(profile: Profile, cluster: Cluster, between: Between, fault: AnyFault, size: int, give_up: float) -> None:
    """Run one slice and keep what it showed; a slice that broke off is none."""
    if time.monotonic() > give_up:
        return
    begin, seed = time.monotonic(), random.randrange(10**6)
    try:
        verdict = run(cluster, between, fault, payments=size, seed=seed)
    except Exception:
        traceback.print_exc()
        return
    where = f"{fault.number}, seed {seed}, {cluster.directory}"
    verdict.violations = [f"{violation} [{where}]" for violation in verdict.violations]
    RESULTS.keep({"profile": profile.name, "fault": fault.number, "seed": seed, **vars(verdict)})
    shown = [f"  {fault.number}: {dict(verdict.counts)} in {time.monotonic() - begin:.0f} s"]
    print(*shown, *verdict.violations[:SHOWN], sep="\n    ", flush=True)


def _done(profile: Profile, fault: AnyFault) -> int:
    mine = [result for result in RESULTS if (result["profile"], result["fault"]) == (profile.name, fault.number)]
    return sum(result["counts"]["customers"] for result in mine)


if __name__ == "__main__":
    raise SystemExit(main())
