"""ASGI servers compared, each really serving Papo on PostgreSQL and Redis: `python -m bench.servers`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import edges
from bench.apps import App
from bench.capacity import CALLERS
from bench.comparison import Comparison, Way, run, side_by_side
from bench.figures import cpu_per_callback, frames_at, per_core
from bench.load import Sample, run_load, run_openings, run_overload
from bench.machine import LOAD_CORE, memory_kb, pinned_to
from bench.rows import Plan
from tests.services import free_port

TOO_MUCH = 200  # MB
ENDING = 2000  # payments for the callbacks that come while a server is told to stop


def ways() -> dict[str, Way]:
    """Return how each server is started: daphne and uvicorn by the commands that Papo has, granian by its own."""
    port = str(free_port())
    granian = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", port]
    granian += ["--workers", "1", "--loop", "uvloop", "--no-access-log", "--workers-kill-timeout", "20"]
    return {
        "daphne": {"command": "serve"},
        "uvicorn": {"command": "worker"},
        "granian": {"command": "bench.papo.frozen:application", "program": granian, "PORT": port},
    }


def measure(plan: Plan, services: dict[str, str], found: Comparison) -> None:
    """Measure the servers in turn, `plan.few_repetitions` times, then their edges; each ends by a SIGTERM."""
    needed = plan.few_repetitions * plan.pages * 2 + 100 + plan.many_pages + 2 * plan.pages + ENDING
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="papo-bench-")))
        stack.enter_context(pinned_to(LOAD_CORE))
        apps = stack.enter_context(side_by_side(ways(), directory, services, payments=needed))
        _callbacks(apps, plan, found)
        for name, app in apps.items():
            _sockets(name, app, plan, found)
            _bodies(name, app, found)
            _slow_readers(name, app, plan, found)
            _end(name, app, found)


def _callbacks(apps: dict[str, App], plan: Plan, found: Comparison) -> None:
    steady: dict[str, list[Sample]] = {name: [] for name in apps}
    overload: dict[str, list[Sample]] = {name: [] for name in apps}
    for seed in range(plan.few_repetitions):
        for name, app in apps.items():
            steady[name].append(asyncio.run(run_load(app, plan.pages, rate=plan.rate, seed=seed)))
            overload[name].append(asyncio.run(run_overload(app, plan.pages, callers=CALLERS)))
    for name in apps:
        for share, label in ((0.5, "p50"), (0.99, "p99")):
            times = [1000 * frames_at(share)(sample) for sample in steady[name]]
            found.median(f"callback → frame, {label} at {plan.rate:g}/s, {plan.pages} sockets, ms", name, times)
        used = [1000 * cpu_per_callback(sample) for sample in steady[name]]
        found.median("CPU of the server for a callback, ms", name, used)
        found.median(
            f"callbacks a second and core, {CALLERS} at once", name, [per_core(each) for each in overload[name]]
        )


def _sockets(name: str, app: App, plan: Plan, found: Comparison) -> None:
    asyncio.run(run_openings(app, min(100, plan.many_pages), offers_deflate=True))  # what comes once
    found.put("MB before a thousand sockets", name, memory_kb(app.process_id) / 1024)
    sample, kilobytes = asyncio.run(run_openings(app, plan.many_pages, offers_deflate=True))
    found.put("sockets opened a second and core", name, per_core(sample))
    found.put(f"KB of an idle socket, {plan.many_pages} open, client offers deflate", name, kilobytes)


def _bodies(name: str, app: App, found: Comparison) -> None:
    for chunked, how in ((False, "with its length"), (True, "in chunks")):
        answer, grown = edges.post_too_much(app, TOO_MUCH, chunked=chunked)
        found.put(f"callback of {TOO_MUCH} MB {how}: answer, MB grown", name, f"{answer}, {grown:.0f}")
    found.put("callback in chunks: answer", name, edges.post_in_chunks(app))


def _slow_readers(name: str, app: App, plan: Plan, found: Comparison) -> None:
    grown, p99 = asyncio.run(edges.grow_by_slow_readers(app, plan.pages, rate=plan.rate))
    label = f"{edges.SLOW_READERS} boards that nobody reads, {plan.pages} callbacks"
    found.put(f"{label}: MB grown", name, grown)
    found.put(f"{label}: p99 of the customers' push, ms", name, p99)


def _end(name: str, app: App, found: Comparison) -> None:
    ending = asyncio.run(edges.end(app))
    found.put("SIGTERM: push that is at Daraja", name, ending.push)
    found.put("SIGTERM: held polls", name, _counted(ending.held_polls))
    found.put("SIGTERM: callbacks that were let in", name, _counted(ending.callbacks))
    found.put("SIGTERM: sockets closed with", name, _counted(ending.close_codes))
    found.put("SIGTERM: seconds until the end, exit status", name, f"{ending.seconds:.1f}, {ending.exit_status}")


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in counter.most_common())


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print."""
    return run("python -m bench.servers", __doc__ or "", list(ways()), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
