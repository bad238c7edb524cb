"""F25: clocks an hour wrong, or jumping. libfaketime turns the wall clock of a process and leaves its sleep true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import CLOCK, SERVICES, TWO, Fault, Injection, nothing

HOUR = 3600  # seconds; on SQLite all processes share the machine's clock, so there only all of them can be wrong


def library() -> Path | None:
    """Return where libfaketime is; `apt-get install faketime`."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def _turned(*seconds: int) -> Callable[[Cluster], None]:
    """Start each worker with its clock wrong by so much; the last value holds for all that follow."""

    def arm(cluster: Cluster) -> None:
        cluster.repairs.callback(_true_again, cluster)
        for number, worker in enumerate(cluster.workers):
            worker.stop()
            _set(cluster, number, seconds[min(number, len(seconds) - 1)])
            worker.settings.update(_faked(_file(cluster, number)))
            worker.start()

    return arm


def _faked(file: Path) -> dict[str, str]:
    """Return what lets a process go by the clock that `file` tells; its monotonic clock stays true."""
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _file(cluster: Cluster, worker: int) -> Path:
    return cluster.directory / f"clock-{worker}"


def _set(cluster: Cluster, worker: int, seconds: int) -> None:
    _file(cluster, worker).write_text(f"{seconds:+d}\n")


def _true_again(cluster: Cluster) -> None:
    for number, worker in enumerate(cluster.workers):
        for name in _faked(_file(cluster, number)):
            worker.settings.pop(name, None)
        worker.restart()


def _jump(seconds: int) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        """Let every clock jump while payments are open, and stay so."""
        time.sleep(cluster.dice.uniform(1, 3))
        for number in range(len(cluster.workers)):
            _set(cluster, number, seconds)
        yield

    return inject


FAULTS = [
    Fault("F25a", "every clock an hour ahead", nothing, needs=CLOCK, arm=_turned(HOUR), may_expire=False),
    Fault("F25b", "one worker and its reconciler an hour ahead", nothing, needs=CLOCK | TWO | SERVICES,
          arm=_turned(HOUR, 0), may_expire=False),
    Fault("F25c", "one worker and its reconciler an hour behind", nothing, needs=CLOCK | TWO | SERVICES,
          arm=_turned(-HOUR, 0), may_expire=False),
    Fault("F25d", "clocks jump ahead by an hour", _jump(HOUR), needs=CLOCK, arm=_turned(0), may_expire=False),
    Fault("F25e", "clocks jump back by an hour", _jump(-HOUR), needs=CLOCK, arm=_turned(0), may_expire=False),
]  # fmt: skip
