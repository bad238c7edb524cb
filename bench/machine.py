"""The machine under the figures: which core does what, and whether anybody else was working on it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
IDLE, IOWAIT = 3, 4  # columns of /proc/stat
OWN, WITH_ENDED_CHILDREN = slice(11, 13), slice(11, 15)  # columns of /proc/<id>/stat, after the name


def _cores() -> tuple[set[int], set[int]]:
    """Return the core of the server and the core of the load; without two there is nothing to choose."""
    cores = sorted(os.sched_getaffinity(0))
    return ({cores[0]}, {cores[1]}) if len(cores) > 1 else (set(cores), set(cores))


SERVER_CORE, LOAD_CORE = _cores()


@contextmanager
def pinned_to(cores: set[int]) -> Iterator[None]:
    """Keep this process, and every process that it starts meanwhile, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time that a process has used, all threads together."""
    return _seconds_in(Path(f"/proc/{process_id}/stat").read_text(), OWN)


def memory_kb(process_id: int) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def serving_process(process_id: int) -> int:
    """Return the process that serves: the one itself, or the largest below it where it only minds a worker."""
    below = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return max((process_id, *map(int, below)), key=memory_kb) if below else process_id


def _seconds_in(stat: str, columns: slice) -> float:
    return sum(map(int, stat.rpartition(")")[2].split()[columns])) * TICK


class Strangers:
    """Measures how many cores other programs kept busy since it was made: what a quiet machine has is 0."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.monotonic(), _busy_seconds(), seconds_below(os.getpid())

    def cores(self) -> float:
        busy, ours = _busy_seconds() - self._busy, seconds_below(os.getpid()) - self._ours
        return max(0.0, busy - ours) / (time.monotonic() - self._began)


def _busy_seconds() -> float:
    columns = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(columns) - columns[IDLE] - columns[IOWAIT]) * TICK


def seconds_below(ancestor: int) -> float:
    """Return the CPU seconds of a process and of all below it; what has ended is counted by its parent."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except OSError:
            continue  # it has just ended
        number = int(path.parent.name)
        parents[number], seconds[number] = (
            int(stat.rpartition(")")[2].split()[1]),
            _seconds_in(stat, WITH_ENDED_CHILDREN),
        )
    return sum(seconds[number] for number in seconds if _is_below(number, ancestor, parents))


def _is_below(number: int, ancestor: int, parents: dict[int, int]) -> bool:
    while number and number != ancestor:
        number = parents.get(number, 0)
    return number == ancestor


def description() -> str:
    """Return one line: processor, cores, system, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
