"""The channel layers compared, each under the same Papo: `python -m bench.layers`.

In memory, a queue for each process in Redis (RedisChannelLayer), and Redis' PUBLISH (RedisPubSubChannelLayer).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import redis

from bench.apps import App
from bench.capacity import CALLERS
from bench.comparison import Comparison, Way, run, side_by_side
from bench.figures import cpu_per_callback, frames_at, per_core
from bench.load import Sample, run_load, run_openings, run_overload
from bench.machine import LOAD_CORE, pinned_to
from bench.rows import Plan

LAYERS: dict[str, Way] = {
    "in memory": {"REDIS_URL": ""},
    "RedisChannelLayer": {"REDIS_LAYER": "queue"},
    "RedisPubSubChannelLayer": {"REDIS_LAYER": "pubsub"},
}


def measure(plan: Plan, services: dict[str, str], found: Comparison) -> None:
    """Measure each layer in turn, `plan.few_repetitions` times."""
    needed = plan.few_repetitions * plan.pages * 2 + plan.most_pages + plan.many_pages
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="papo-bench-")))
        stack.enter_context(pinned_to(LOAD_CORE))
        apps = stack.enter_context(side_by_side(LAYERS, directory, services, payments=needed))
        _pushes(apps, plan, found, services["REDIS_URL"])
        _overloads(apps, plan, found)
        for name, app in apps.items():
            opened, kilobytes = asyncio.run(run_openings(app, plan.many_pages, offers_deflate=True))
            found.put("sockets opened a second and core", name, per_core(opened))
            found.put(f"KB of an idle socket, {plan.many_pages} open", name, kilobytes)
            load = run_load(app, plan.most_pages, rate=plan.rate, seed=0, completed=plan.pages)
            _latency(found, name, [asyncio.run(load)], f"{plan.most_pages} sockets")


def _pushes(apps: dict[str, App], plan: Plan, found: Comparison, redis_url: str) -> None:
    samples: dict[str, list[Sample]] = {name: [] for name in apps}
    of_redis: dict[str, float] = dict.fromkeys(apps, 0.0)
    for seed in range(plan.few_repetitions):
        for name, app in apps.items():
            before = _cpu_of_redis(redis_url)
            samples[name].append(asyncio.run(run_load(app, plan.pages, rate=plan.rate, seed=seed)))
            of_redis[name] += _cpu_of_redis(redis_url) - before
    for name, each in samples.items():
        _latency(found, name, each, f"{plan.pages} sockets")
        found.median("ms of the server's CPU for a callback", name, [1000 * cpu_per_callback(one) for one in each])
        callbacks = sum(len(one.frames) for one in each)
        found.put("ms of Redis' CPU for a callback, opening included", name, 1000 * of_redis[name] / callbacks)


def _latency(found: Comparison, name: str, samples: Sequence[Sample], sockets: str) -> None:
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        times = [1000 * frames_at(share)(sample) for sample in samples]
        found.median(f"callback → frame, {label}, {sockets}, ms", name, times)


def _overloads(apps: dict[str, App], plan: Plan, found: Comparison) -> None:
    samples: dict[str, list[Sample]] = {name: [] for name in apps}
    for _ in range(plan.few_repetitions):
        for name, app in apps.items():
            samples[name].append(asyncio.run(run_overload(app, plan.pages, callers=CALLERS)))
    count = plan.few_repetitions * plan.pages
    for name, each in samples.items():
        found.put(f"pushes lost or later than 1 s, {CALLERS} callers, of {count}", name, sum(one.lost for one in each))
        found.median("callbacks a second and core, in that", name, [per_core(one) for one in each])


def _cpu_of_redis(url: str) -> float:
    with redis.Redis.from_url(url) as client:
        used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print."""
    return run("python -m bench.layers", __doc__ or "", list(LAYERS), measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
