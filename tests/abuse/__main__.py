"""`make abuse`: every class of bad input at full number, and the table in docs/security.md written from what was seen.

It can be stopped at any time and goes on where it was: each finished part is a line of var/abuse.jsonl. Each profile
runs in a process of its own, because the judge reads the server's database with the server's settings.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.abuse.rig.attacks import ATTACKS, Attack
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target, running_target
from tests.server import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "security.md"
BEGIN, END = "<!-- begin of what `make abuse` writes -->", "<!-- end of what `make abuse` writes -->"
PROFILES = {"sqlite": "`serve` on SQLite", "services": "a worker on PostgreSQL and Redis"}
LATENCIES_KEPT = 2_000  # of a part
WARM_UP = 300  # requests before memory is first looked at
MOST_GROWTH = 50 * 1024  # KiB


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # or servers and services would stay behind
    options = _options()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.profile:
        return _attack(options)
    give_up = time.monotonic() + options.minutes * 60
    runs = [(profile, limited) for profile in PROFILES for limited in ("no", "yes")]
    for number, (profile, limited) in enumerate(runs):
        left = (give_up - time.monotonic()) / 60 / (len(runs) - number)  # so that no run takes the time of the others
        subprocess.run(_command(options, profile, limited, left), cwd=REPOSITORY, check=False)
    results = list(_results(options.results))
    if not options.no_table:
        _write_table(results)
    return 1 if any(result["errors"] or result["changes"] for result in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="after which no part begins; default 60")
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of inputs; default 1")
    parser.add_argument("--parts", type=int, default=100, help="of each class, the first ones; default all")
    parser.add_argument("--only", default="", help="classes whose name holds this")
    parser.add_argument("--profile", choices=PROFILES, help="only on this, and write no table")
    parser.add_argument("--limited", choices=("no", "yes"), default="no", help="the classes that need rate limits")
    parser.add_argument("--without", default="", help="the guard that the server lacks, one of the rig's toothless.py")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "var" / "abuse.jsonl")
    parser.add_argument("--no-table", action="store_true")
    return parser.parse_args()


def _command(options: argparse.Namespace, profile: str, limited: str, minutes: float) -> list[str]:
    given = {"profile": profile, "limited": limited, "minutes": minutes, "share": options.share, "only": options.only}
    given |= {"parts": options.parts}
    given |= {"results": options.results, "without": options.without}
    return [sys.executable, "-m", "tests.abuse", *(f"--{name}={value}" for name, value in given.items() if value != "")]


def _attack(options: argparse.Namespace) -> int:
    """Run what is still to be run of one profile; return 1 when anything was wrong."""
    give_up = time.monotonic() + options.minutes * 60
    results = [result for result in _results(options.results) if not (result["errors"] or result["changes"])]
    done = {(result["profile"], result["attack"], result["part"]) for result in results}  # what went wrong runs again
    limited = options.limited == "yes"
    chosen = [attack for attack in ATTACKS if attack.limited == limited and options.only in attack.name]
    parts = [(attack, part) for attack in chosen for part in range(min(attack.parts, options.parts))]
    wanted = [(attack, part) for attack, part in parts if (options.profile, attack.name, part) not in done]
    wanted.sort(key=lambda one: one[1])  # some of every class first
    if not wanted or options.minutes <= 0:
        return 0
    program = [sys.executable, "-m", "tests.faults.rig.toothless", options.without] if options.without else None
    directory = Path(tempfile.mkdtemp(prefix="papo-abuse-"))
    print(f"{PROFILES[options.profile]}: {len(wanted)} parts, log in {directory}", flush=True)
    wrong = 0
    services = options.profile == "services"
    with running_target(directory, services=services, limited=limited, program=program) as target:
        _warm_up(target)
        first = target.memory()
        for attack, part in wanted:
            if time.monotonic() > give_up:
                break
            wrong += _run(options, target, attack, part, first)
    return 1 if wrong else 0


def _warm_up(target: Target) -> None:
    caller = target.caller()
    for number in range(WARM_UP):
        caller.get(("/", "/api/products/", "/healthz", "/admin/login/")[number % 4])


def _run(options: argparse.Namespace, target: Target, attack: Attack, part: int, first: int) -> int:
    """Run one part, keep what it came to, and return how much was wrong."""
    before, began, pid = target.memory(), time.monotonic(), target.pid
    try:
        tally = attack.run(target, part + 1, attack.inputs_of(part, options.share))
    except Exception as error:  # the rig's own trouble must not pass for a clean result
        tally = target.tally()
        tally.error(f"the attack broke off: {type(error).__name__}: {error}")
    target.look_into_log(tally)
    if target.caller().get("/healthz").status != 200:
        tally.error("the server is gone")
    restarted = target.pid != pid
    growth = 0 if restarted else target.memory() - before
    total = 0 if restarted else target.memory() - first
    _keep(options, attack, part, tally, {"growth": growth, "total": total, "seconds": time.monotonic() - began})
    return tally.errors + tally.changes


def _keep(options: argparse.Namespace, attack: Attack, part: int, tally: Tally, more: dict[str, Any]) -> None:
    step = max(1, len(tally.milliseconds) // LATENCIES_KEPT)
    result = {
        "profile": options.profile, "attack": attack.name, "part": part, "inputs": tally.inputs, "errors": tally.errors,
        "changes": tally.changes, "evidence": tally.evidence, "notes": tally.notes, **more,
        "milliseconds": [round(value, 1) for value in sorted(tally.milliseconds)[::-1][::step]],
    }  # fmt: skip
    with options.results.open("a") as file:
        file.write(json.dumps(result) + "\n")
    told = {name: result[name] for name in ("inputs", "errors", "changes", "notes", "growth", "total")}
    print(f"  {attack.name} {part + 1}/{attack.parts}: {told}, {more['seconds']:.0f} s", flush=True)
    for evidence in tally.evidence:
        print(f"    {evidence}", flush=True)


# The table --------------------------------------------------------------------------------------------------------


def _results(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what each part came to the last time that it ran."""
    if path.exists():
        lines = map(json.loads, path.read_text().splitlines())
        yield from {(line["profile"], line["attack"], line["part"]): line for line in lines}.values()


def _write_table(results: list[dict[str, Any]]) -> None:
    lines = [
        "| Class | Inputs | Server errors | Changed states | p99, ms: SQLite · services "
        "| Memory, MB: SQLite · services |",
        "|---|--:|--:|--:|---|---|",
    ]
    for attack in ATTACKS:
        if mine := [result for result in results if result["attack"] == attack.name]:
            sums = [sum(result[name] for result in mine) for name in ("inputs", "errors", "changes")]
            cells = [f"{value:,}" for value in sums]
            done, all_parts = len(mine), attack.parts * len(PROFILES)
            cells[0] += "" if done == all_parts else f" ({done} of {all_parts} parts)"
            lines.append(f"| {attack.name} | {' | '.join(cells)} | {_per(mine, _p99)} | {_per(mine, _growth)} |")
    inputs, errors, changes = (sum(result[name] for result in results) for name in ("inputs", "errors", "changes"))
    lines.append(f"| **All** | **{inputs:,}** | **{errors}** | **{changes}** | | {_per(results, _total)} |")
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def _per(results: list[dict[str, Any]], figure: Any) -> str:
    """Return a figure for each profile, or a dash where it has not run."""
    of = {name: [result for result in results if result["profile"] == name] for name in PROFILES}
    return " · ".join(figure(mine) if mine else "–" for mine in of.values())


def _p99(results: list[dict[str, Any]]) -> str:
    values = sorted(value for result in results for value in result["milliseconds"])
    return f"{values[int(len(values) * 0.99)]:.0f}" if values else "–"


def _growth(results: list[dict[str, Any]]) -> str:
    return f"{sum(result['growth'] for result in results) / 1024:+.1f}"


def _total(results: list[dict[str, Any]]) -> str:
    """Return the most that a server had grown at the end of any part since it was warm."""
    return f"most {max(result['total'] for result in results) / 1024:+.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
