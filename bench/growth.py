"""What a callback, an opening, a poll and a minute of waiting cost, at several sizes: `python -m bench.growth`.

Sizes are the open sockets of one worker, and the payments that the database has already. What is measured is CPU, of
the worker and of what serves it, for that hardly depends on who else is busy on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from bench.apps import App, forget_settings, naive_app, own_database, papo_app
from bench.capacity import CALLERS, poll_of_naive, poll_of_papo
from bench.figures import frames_at
from bench.load import complete, open_pages, run_load, run_requests
from bench.machine import LOAD_CORE, Strangers, cpu_seconds, description, memory_kb, pinned_to, seconds_below
from tests.server import REPOSITORY
from tests.services import running_services

COSTS = REPOSITORY / "bench" / "costs.json"
BEATS = 2  # of each socket, that are waited for: half a minute
HEARTBEAT_SECONDS = 15
MANY = 500  # sockets; fewer are lost in what the worker takes and gives back anyhow
WARMING = 20  # payments before the first that counts


@dataclass(frozen=True)
class Sizes:
    """`callbacks`, `polls`: so many are measured at each size; `rate`: callbacks a second."""

    sockets: Sequence[int] = (50, 500, 2000, 5000)
    stored: Sequence[int] = (10_000, 100_000, 1_000_000)
    callbacks: int = 500
    polls: int = 1000
    rate: float = 100
    idle_seconds: float = BEATS * HEARTBEAT_SECONDS


QUICK = Sizes(sockets=(5, 10), stored=(50, 100), callbacks=5, polls=20, idle_seconds=0.5)


@dataclass(frozen=True)
class AtSockets:
    """Milliseconds of CPU while so many sockets are open; `idle_ms` of the worker for a minute of all of them."""

    sockets: int
    callback_ms: float
    postgresql_ms: float  # for a callback
    redis_ms: float  # for a callback
    p50_ms: float  # of callback → frame, by the clock
    opening_ms: float
    idle_ms: float
    poll_ms: float
    kilobytes: float | None  # of a socket; None where too few were open to tell


@dataclass(frozen=True)
class AtStored:
    """Milliseconds of CPU for a callback when the database has so many payments; `p50_ms` by the clock."""

    stored: int
    callback_ms: float
    postgresql_ms: float
    p50_ms: float


class Meter:
    """The CPU of one worker and of what serves it."""

    def __init__(self, app: App, services: dict[str, str]) -> None:
        self._app, self._redis = app, redis.Redis.from_url(services["REDIS_URL"])
        with psycopg.connect(services["DATABASE_URL"]) as connection:
            path = connection.execute("SELECT current_setting('data_directory')").fetchone()
        assert path is not None
        self._postgresql = int(Path(path[0], "postmaster.pid").read_text().split()[0])

    def read(self) -> tuple[float, float, float]:
        """Return the seconds of the worker, of PostgreSQL and of Redis so far."""
        used = self._redis.info("cpu")
        of_redis = float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
        return cpu_seconds(self._app.process_id), seconds_below(self._postgresql), of_redis

    def since(self, before: tuple[float, float, float], count: float) -> list[float]:
        """Return the milliseconds for each of `count`."""
        return [1000 * (now - then) / count for now, then in zip(self.read(), before, strict=True)]


async def at_sockets(app: App, meter: Meter, count: int, sizes: Sizes, *, without_kb: float) -> AtSockets:
    """Open so many pages, leave them alone, poll, then complete some of their payments.

    `without_kb`: what the worker had in memory before its first socket.
    """
    callbacks = min(count, sizes.callbacks)
    payments, poll = app.take(count), await asyncio.to_thread(poll_of_papo, app)
    before = meter.read()
    async with open_pages(app, payments, offers_deflate=True) as pages:
        opening_ms = meter.since(before, count)[0]
        kilobytes = (memory_kb(app.process_id) - without_kb) / count if count >= MANY else None
        before = meter.read()
        await asyncio.sleep(sizes.idle_seconds)
        idle_ms = meter.since(before, sizes.idle_seconds / 60)[0]
        polled = await run_requests(app, poll, count=sizes.polls, callers=CALLERS)
        before = meter.read()
        sample = await complete(app, payments[:callbacks], pages[:callbacks], rate=sizes.rate, seed=count)
        used = meter.since(before, callbacks)
    p50_ms, poll_ms = 1000 * frames_at(0.5)(sample), 1000 * polled.cpu / len(polled.answers)
    return AtSockets(count, *used, p50_ms, opening_ms, idle_ms, poll_ms, kilobytes)


def at_stored(app: App, meter: Meter, first: int, last: int, sizes: Sizes) -> AtStored:
    """Write a past from the first payment to the last, then complete some payments of today."""
    command = [sys.executable, "-m", "bench.papo.past", str(first), str(last)]
    subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **app.settings}, check=True)
    before = meter.read()
    sample = asyncio.run(run_load(app, sizes.callbacks, rate=sizes.rate, seed=last))
    _, postgresql_ms, _ = meter.since(before, sizes.callbacks)
    return AtStored(last, 1000 * sample.cpu / sizes.callbacks, postgresql_ms, 1000 * frames_at(0.5)(sample))


def measure(sizes: Sizes) -> dict[str, Any]:
    """Return the costs at every size, and what a poll costs the naive shop."""
    began, strangers = time.strftime("%Y-%m-%d %H:%M %Z"), Strangers()
    with ExitStack() as stack:
        services = stack.enter_context(running_services(durable=True))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="papo-bench-")))
        stack.enter_context(pinned_to(LOAD_CORE))
        needed = sum(sizes.sockets) + len(sizes.sockets) + len(sizes.stored) * sizes.callbacks + WARMING
        papo = stack.enter_context(papo_app(directory, payments=needed, **_urls(stack, services)))
        meter = Meter(papo, services)
        asyncio.run(run_load(papo, WARMING, rate=sizes.rate, seed=0))  # what comes once
        without_kb = memory_kb(papo.process_id)
        by_sockets = [
            asyncio.run(at_sockets(papo, meter, count, sizes, without_kb=without_kb)) for count in sizes.sockets
        ]
        firsts = [1, *(size + 1 for size in sizes.stored[:-1])]
        spans = zip(firsts, sizes.stored, strict=True)
        by_stored = [at_stored(papo, meter, first, last, sizes) for first, last in spans]
        naive_ms = _naive_poll_ms(
            stack.enter_context(naive_app(directory, payments=1, **_urls(stack, services))), sizes
        )
    return {
        "measured": f"{began}, {description()}; others kept {strangers.cores():.2f} cores busy",
        "sockets": [asdict(each) for each in by_sockets],
        "stored": [asdict(each) for each in by_stored],
        "naive_poll_ms": naive_ms,
    }


def _urls(stack: ExitStack, services: dict[str, str]) -> dict[str, str]:
    url = stack.enter_context(own_database(services["DATABASE_URL"]))
    return {"DATABASE_URL": url, "REDIS_URL": services["REDIS_URL"]}


def _naive_poll_ms(naive: App, sizes: Sizes) -> float:
    polled = asyncio.run(run_requests(naive, poll_of_naive(naive), count=sizes.polls, callers=CALLERS))
    return 1000 * polled.cpu / len(polled.answers)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of everything: shows that it works, no more")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=COSTS, help="bench/costs.json, which scaling reads"
    )
    options = parser.parse_args(arguments)
    forget_settings()
    costs = measure(QUICK if options.quick else Sizes())
    options.json.write_text(json.dumps(costs, indent=2) + "\n")
    print(options.json.read_text())


if __name__ == "__main__":
    main()
