"""`make soak`: an hour of load, faults and samples, and the table in docs/reliability.md written from what was seen."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.rig.cluster import CREDENTIALS, running_simulator
from tests.faults.rig.history import History
from tests.faults.rig.proxy import running_network
from tests.faults.soak.crowd import Boards, Crowd
from tests.faults.soak.nemesis import Nemesis
from tests.faults.soak.report import write
from tests.faults.soak.samples import Sample, Sampler, pending
from tests.faults.soak.verdict import Held, held, judge
from tests.production.stack import Stack, running_stack
from tests.server import REPOSITORY

FAULTS_AN_HOUR = 15
WARM_UP = 5.0  # minutes, with most faults once: what they make grow to its full size is no leak
RUSH = 2.0  # times the rate in the warm-up: pools of threads begin threads up to their bound, and end none
SETTLE_WITHIN = 240.0  # seconds after the last customer, for what expires and what is given back
AT_REST_AFTER = 150.0  # seconds without a session less: psycopg's pools give back at most one in 30 s each
AT_REST_WITHIN = 660.0  # seconds
RATE = 3.0  # payments a second; see docs/reliability.md for where it comes from


@dataclass
class Outcome:
    """Everything that the table shows."""

    minutes: float
    rate: float
    cores: float
    held: list[Held]
    counts: dict[str, int]
    faults: dict[str, int]
    stumbled: list[str]
    violations: list[str]

    @property
    def is_good(self) -> bool:
        return not self.violations and not self.stumbled and all(each.is_given_back for each in self.held)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of load; default 60")
    parser.add_argument("--rate", type=float, default=RATE, help=f"payments a second; default {RATE}")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = soak(minutes=options.minutes, rate=options.rate, seed=options.seed)
    write(outcome)
    print(*outcome.violations, *outcome.stumbled, sep="\n")
    return 0 if outcome.is_good else 1


def soak(*, minutes: float, rate: float, seed: int, every: float = 10.0) -> Outcome:
    """Load the shop for so many minutes and say what was seen; samples and history stay in var/soak."""
    directory = REPOSITORY / "var" / "soak"
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as around:
        network = around.enter_context(running_network(seed))
        own = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="papo-soak-", ignore_cleanup_errors=True)))
        simulator = around.enter_context(running_simulator(own))
        daraja = network.proxy(int(simulator.rsplit(":", 1)[1]))
        stack = around.enter_context(running_stack(f"http://127.0.0.1:{daraja.port}", **_settings(minutes)))
        history = History(directory / f"history-{time.strftime('%H%M%S')}.jsonl")
        around.callback(history.close)
        crowd = Crowd(stack, simulator, history, network.loop, seed)
        around.callback(Boards(stack, network.loop).close)
        sampler = Sampler(stack, directory / f"samples-{time.strftime('%H%M%S')}.jsonl", every=every)
        nemesis = Nemesis(stack, daraja, crowd, history, seed=seed)
        sampler.start()
        around.callback(sampler.stop)
        _live_through(stack, crowd, nemesis, sampler, minutes=minutes, rate=rate)
        return _outcome(stack, crowd, nemesis, sampler, record=own / "ledger.sqlite3", minutes=minutes, rate=rate)


def _settings(minutes: float) -> dict[str, str]:
    """Return Papo's own periods for an hour, and shorter ones for a short run."""
    seconds = ("20", "180") if minutes >= 10 else ("2", "30")
    return {**CREDENTIALS, "MPESA_QUERY_AFTER_SECONDS": seconds[0], "MPESA_EXPIRE_AFTER_SECONDS": seconds[1]}


def _live_through(
    stack: Stack, crowd: Crowd, nemesis: Nemesis, sampler: Sampler, *, minutes: float, rate: float
) -> None:
    warm_up = min(WARM_UP, minutes / 4) * 60
    at_rest_within = AT_REST_WITHIN if minutes >= 10 else 0
    sampler.phase = "warm-up"
    with nemesis.at_work(every=warm_up / 5, is_warm_up=True):
        crowd.come(rate=rate * RUSH, seconds=warm_up)
    _rest(stack, sampler, "base", at_rest_within)
    sampler.phase = "load"
    with nemesis.at_work(every=minutes * 60 / (FAULTS_AN_HOUR + 1)):
        crowd.come(rate=rate, seconds=minutes * 60 - warm_up)
    _rest(stack, sampler, "after", at_rest_within)
    sampler.phase = "judging"


def _rest(stack: Stack, sampler: Sampler, phase: str, at_rest_within: float) -> None:
    """Wait until every payment has ended and nothing more is given back, then call what is seen `phase`.

    Both looks are of the same kind, so that the first is not one at pools that a fault has just emptied.
    """
    sampler.phase = settling = f"settling before {phase}"
    _wait(lambda: not pending(stack), SETTLE_WITHIN)
    _wait(lambda: is_at_rest(sampler.of(settling), AT_REST_AFTER), at_rest_within)
    sampler.phase = phase
    time.sleep(sampler.every * 4.5)


def is_at_rest(samples: list[Sample], seconds: float) -> bool:
    """Return whether PostgreSQL had as few sessions `seconds` ago as at any time since."""
    seen = [(sample["seconds"], sample["postgresql"]) for sample in samples if "postgresql" in sample]
    long_ago = [sessions for at, sessions in seen if at <= seen[-1][0] - seconds]
    return bool(long_ago) and min(long_ago) <= min(sessions for _at, sessions in seen)


def _wait(is_over: Callable[[], bool], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not is_over() and time.monotonic() < give_up:
        time.sleep(2)


def _outcome(
    stack: Stack, crowd: Crowd, nemesis: Nemesis, sampler: Sampler, *, record: Path, minutes: float, rate: float
) -> Outcome:
    busy = sampler.of("load")
    money = judge(stack, record, crowd.shoppers)
    cores = (busy[-1]["cpu_seconds"] - busy[0]["cpu_seconds"]) / (busy[-1]["seconds"] - busy[0]["seconds"])
    outcome = Outcome(
        minutes=minutes,
        rate=rate,
        cores=round(cores, 2),
        held=held(sampler.of("base"), busy, sampler.of("after")),
        counts=dict(money.counts),
        faults=dict(nemesis.done),
        stumbled=nemesis.stumbled,
        violations=money.violations,
    )
    _keep(outcome)
    return outcome


def _keep(outcome: Outcome) -> None:
    document: dict[str, Any] = asdict(outcome)
    (REPOSITORY / "var" / "soak" / "outcome.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    sys.exit(main())
