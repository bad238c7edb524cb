"""Thousands at once: a change that all of them watch, and the minute after a restart, when all of them come back."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import uvloop

from bench.apps import App, all_three, naive_app, papo_app, two
from bench.figures import Line, Target
from bench.load import SETTLING, Sample, complete, new_caller, open_page, open_pages, until_quiet, without_collector
from bench.machine import LOAD_CORE, cpu_seconds, pinned_to
from bench.payments import Payment
from bench.rows import Plan, Row
from bench.wire import Onlooker, Page, Refused

T = TypeVar("T")

SHOWN_WITHIN = 30.0  # seconds after which a page counts as never told
COME_BACK_WITHIN = 1.0  # seconds in which all pages try for the first time
RETRY = 3.5, 0.3  # seconds until a page that was refused tries again, and the jitter; as static/checkout.js
TRUE_WITHIN = 60.0  # seconds after which a page counts as never true
CHANGED = 10  # one in so many payments is completed while its page is away, or on its way back


def fan_out(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 10: one change of one payment that thousands watch, until the last of them is told."""
    repetitions = min(plan.few_repetitions, plan.repetitions)
    samples: dict[str, list[Sample]] = {"floor": [], "naive": [], "papo": []}
    with all_three(directory, services, payments=repetitions + 1) as apps, pinned_to(LOAD_CORE):
        for app in apps:
            _run(run_fan_out(app, min(100, plan.most_pages)))  # what comes once
        for _ in range(repetitions):
            for app in apps:
                samples[app.name.lower()].append(_run(run_fan_out(app, plan.most_pages)))
    last = {name: 1000 * median(max(sample.frames) for sample in each) for name, each in samples.items()}
    cpu = {name: 1000 * median(sample.cpu for sample in each) for name, each in samples.items()}
    figure = f"a change shown on {plan.most_pages} sockets of one group, the last one"
    return [Line(10, figure, "ms", **last, target=Target(5, 2.5)), Line(10, "  CPU of the server for it", "ms", **cpu)]


async def run_fan_out(app: App, watchers: int) -> Sample:
    """Complete one payment that so many pages show; the frames' seconds count from when its callback left."""
    payment, sample = app.take(1)[0], Sample()
    async with open_pages(app, [payment] * watchers, kind=Onlooker) as opened:
        await until_quiet(app)
        caller, before = await new_caller(app), cpu_seconds(app.process_id)
        with without_collector():
            left, answer = caller.post(payment.request(app.port))
            await asyncio.wait([page.told for page in opened], timeout=SHOWN_WITHIN)
        sample.answers = [await answer - left]
        sample.frames = [page.told.result() - left if page.told.done() else math.inf for page in opened]
        sample.cpu = cpu_seconds(app.process_id) - before
        caller.close()
    await until_quiet(app)
    return sample


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the faster loop: with thousands of sockets the load generator would be what is measured."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@dataclass
class Storm:
    """How long after the beginning each page was true again, in seconds; the server's CPU; and what it refused."""

    true_after: list[float] = field(default_factory=list)
    opened: list[Page] = field(default_factory=list)
    cpu: float = 0.0
    refused: int = 0


def storm(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 16: all pages of a worker come back within a second; each opens the socket of its fragment."""
    repetitions = min(plan.few_repetitions, plan.repetitions)
    storms: dict[str, list[Storm]] = {"papo": [], "naive": []}
    needed = plan.storm_pages * repetitions
    with two(papo_app, naive_app, directory, services, payments=needed) as apps, pinned_to(LOAD_CORE):
        for seed in range(repetitions):
            for app in apps:
                storms[app.name.lower()].append(_run(run_storm(app, plan.storm_pages, seed=seed)))
    last = {name: median(max(each.true_after) for each in some) for name, some in storms.items()}
    cpu = {name: 1000 * median(each.cpu for each in some) / plan.storm_pages for name, some in storms.items()}
    refused = {name: sum(each.refused for each in some) for name, some in storms.items()}
    figure = f"{plan.storm_pages} pages come back within {COME_BACK_WITHIN:g} s, until the last is true"
    return [
        Line(16, figure, "s", **last, target=Target(20, 5, unit=" s", over="")),
        Line(16, "  CPU of the server, per page", "ms", **cpu),
        Line(16, "  sockets refused meanwhile", "", **refused, target=Target(0, 0, "", "")),
    ]


async def run_storm(app: App, pages: int, *, seed: int) -> Storm:
    """Open pages and have all of them go away and come back, with payments that are completed meanwhile."""
    chance, found = random.Random(seed), Storm()
    payments = [replace(each, socket_path=each.socket_path.partition("?")[0]) for each in app.take(pages)]
    changed = payments[::CHANGED]
    away, on_the_way = changed[::2], changed[1::2]
    async with open_pages(app, payments):
        pass
    await complete(app, away, [None] * len(away), rate=len(away) / COME_BACK_WITHIN, seed=seed)
    await until_quiet(app)
    before, began, paid = cpu_seconds(app.process_id), time.perf_counter(), {each.socket_path for each in changed}
    returns = [
        asyncio.create_task(_come_back(app, each, found, began, chance, is_paid=each.socket_path in paid))
        for each in payments
    ]
    calling = complete(app, on_the_way, [None] * len(on_the_way), rate=len(on_the_way) / COME_BACK_WITHIN, seed=seed)
    await asyncio.gather(calling, asyncio.wait(returns, timeout=TRUE_WITHIN))
    found.cpu = cpu_seconds(app.process_id) - before
    for each in returns:
        each.cancel()
    await asyncio.gather(*returns, return_exceptions=True)
    found.true_after = [math.inf if each.cancelled() else each.result() - began for each in returns]
    for page in found.opened:
        page.leave()
    await asyncio.sleep(SETTLING)
    await until_quiet(app)
    return found


async def _come_back(
    app: App, payment: Payment, found: Storm, began: float, chance: random.Random, *, is_paid: bool
) -> float:
    """Return when the page was true: told of its payment, and that it is completed if it is."""
    turn = asyncio.Semaphore(1)  # nobody waits for anybody
    await asyncio.sleep(began + chance.uniform(0, COME_BACK_WITHIN) - time.perf_counter())
    while True:
        with contextlib.suppress(Refused, OSError):
            page = await open_page(app, payment, turn)
            found.opened.append(page)
            if is_paid:
                await page.told
            if not page.is_lost:
                return time.perf_counter()
        found.refused += 1
        pause, jitter = RETRY
        await asyncio.sleep(pause * chance.uniform(1 - jitter, 1 + jitter))


ROWS: dict[int, Row] = {10: fan_out, 16: storm}
