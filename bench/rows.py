"""What a push takes, where it is late, and what it weighs: rows of the benchmark, numbered as in docs/benchmarks.md."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import boards
from bench.apps import App, all_three, floor_app, naive_app, own_database, papo_app, two
from bench.figures import Line, Target, answers_at, cpu_per_callback, frames_at, in_milliseconds
from bench.load import Sample, count_lost_pages, run_load, run_rolling
from bench.machine import LOAD_CORE, pinned_to
from bench.weight import weigh

COLD_PAGE = Target(must=30 * 1024, goal=26 * 1024, unit=" bytes")
ONE_PUSH = Target(must=1536, goal=1536, unit=" bytes")
IDLE_MINUTE = Target(must=2048, goal=512, unit=" bytes")
WARMING = 100  # callbacks before the first that counts, at most


class NotMeasured(Exception):
    """The figure could not be measured; a figure that missed its target is no error."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. `rate`: callbacks per second."""

    repetitions: int = 5
    few_repetitions: int = 2  # of what takes long
    rate: float = 100
    few_pages: int = 50
    pages: int = 500
    alone: int = 100  # payments whose page is the only one open
    long_payments: int = 6000  # a minute at `rate`
    embedded_pages: int = 200
    idle_pages: int = 200
    idle_seconds: float = 60
    waiting_seconds: float = 30  # two heartbeats
    many_pages: int = 1000
    most_pages: int = 5000
    storm_pages: int = 2000
    polls: int = 2000
    screens: int = 25


QUICK = Plan(
    repetitions=1,
    few_repetitions=1,
    few_pages=5,
    pages=20,
    alone=5,
    long_payments=20,
    embedded_pages=20,
    idle_pages=10,
    idle_seconds=1,
    waiting_seconds=0.5,
    many_pages=20,
    most_pages=40,
    storm_pages=20,
    polls=40,
    screens=2,
)
Row = Callable[[Plan, Path, dict[str, str]], list[Line]]


def callback_to_frame(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 1: PostgreSQL and Redis; from the callback to the frame on the page's socket."""
    needed_ = needed(plan, plan.pages) + plan.repetitions * plan.alone
    with all_three(directory, services, payments=needed_) as apps:
        samples = interleaved(apps, plan, plan.pages)
        alone = [(app, [_alone(app, plan, seed) for seed in range(plan.repetitions)]) for app in apps]
    lines = lines_of(1, "callback → frame", samples, plan, plan.pages, Target(must=2.0, goal=1.25))
    p50 = {app.name.lower(): in_milliseconds(each, frames_at(0.5)) for app, each in alone}
    return [*lines, Line(1, "  p50 with one socket, opened just before", "ms", **p50)]


def _alone(app: App, plan: Plan, seed: int) -> Sample:
    with pinned_to(LOAD_CORE):
        return asyncio.run(run_rolling(app, plan.alone, window=1, rate=plan.rate, seed=seed))


def long_run(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 2: a minute of callbacks, of customers who come and go; the time that one in a hundred exceeds."""
    payments = min(WARMING, plan.pages) + plan.long_payments + plan.pages
    samples: dict[str, Sample] = {}
    with two(floor_app, papo_app, directory, services, payments=payments) as apps, pinned_to(LOAD_CORE):
        for app in apps:
            _measure(app, plan, min(WARMING, plan.pages), seed=0)
            load = run_rolling(app, plan.long_payments, window=plan.pages, rate=plan.rate, seed=2)
            samples[app.name.lower()] = asyncio.run(load)
    figure = f"callback → frame, p99 of {plan.long_payments / plan.rate:g} s at {plan.rate:g}/s, {plan.pages} sockets"
    shown: list[tuple[str, float, Target | None]] = [
        (figure, 0.99, Target(must=3.0, goal=2.0)),
        ("  the same, p50", 0.5, None),
        ("  the same, the worst", 1.0, None),
    ]
    note = _lost_by({app: [sample] for app, sample in samples.items()})
    return [
        Line(
            2,
            name,
            "ms",
            **{app: in_milliseconds([sample], frames_at(share)) for app, sample in samples.items()},
            target=target,
            note=note if target else "",
        )
        for name, share, target in shown
    ]


def idle_sockets(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 11: sockets of an undisturbed Redis that nobody closed, and that yet do not hear of their payment."""
    count = plan.idle_pages
    with two(papo_app, naive_app, directory, services, payments=count) as apps:
        papo, naive = asyncio.run(_lost(apps, plan))
    figure = f"idle sockets lost in {plan.idle_seconds:g} s, of {count}"
    return [Line(11, figure, "sockets", papo, naive=naive, target=Target(must=0, goal=0, unit=""))]


async def _lost(apps: Sequence[App], plan: Plan) -> list[int]:
    waiting = [count_lost_pages(app, plan.idle_pages, rate=plan.rate, idle_seconds=plan.idle_seconds) for app in apps]
    return await asyncio.gather(*waiting)


def boards_open(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 15: the customers' push with fifty boards open, over the same server's without any."""
    samples: dict[int, list[Sample]] = {0: [], boards.BOARDS: []}
    repetitions = min(plan.few_repetitions, plan.repetitions)
    needed = min(WARMING, plan.pages) + 2 * repetitions * plan.pages
    with own_database(services["DATABASE_URL"]) as url:
        urls = {"DATABASE_URL": url, "REDIS_URL": services["REDIS_URL"]}
        with papo_app(directory, payments=needed, **urls) as app, pinned_to(LOAD_CORE):
            session = boards.session_of(app)
            _measure(app, plan, min(WARMING, plan.pages), seed=0)
            for repetition in range(repetitions):
                for open_now in sorted(samples, reverse=bool(repetition % 2)):
                    load = boards.measure(
                        app, plan.pages, rate=plan.rate, seed=repetition, boards=open_now, session=session
                    )
                    samples[open_now].append(asyncio.run(load))
    figure = f"push with {boards.BOARDS} boards open, over none"
    measured = [
        (f"{figure}, p50 at {plan.rate:g}/s", 0.5, Target(must=1.3, goal=1.1)),
        (f"{figure}, p99", 0.99, Target(must=2.0, goal=1.3)),
    ]
    lost = sum(sample.lost for sample in samples[boards.BOARDS])
    return [
        Line(
            15,
            name,
            "ms",
            in_milliseconds(samples[boards.BOARDS], frames_at(share)),
            floor=in_milliseconds(samples[0], frames_at(share)),
            target=target,
            note=f"lost {lost} pushes" if lost else "",
        )
        for name, share, target in measured
    ]


def weight(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 20: the payment page in bytes, which no neighbour on the machine changes."""
    with papo_app(directory, payments=1) as app:
        found = asyncio.run(weigh(app, idle_seconds=plan.idle_seconds))
    return [
        Line(20, f"payment page, cold, in {found.cold_requests} requests", "bytes", found.cold, target=COLD_PAGE),
        Line(20, "  one push to it", "bytes", found.pushed, target=ONE_PUSH),
        Line(20, f"  {plan.idle_seconds:g} s with it open and nothing new", "bytes", found.idle, target=IDLE_MINUTE),
    ]


def lines_of(
    row: int,
    figure: str,
    samples: dict[str, list[Sample]],
    plan: Plan,
    pages: int,
    target: Target,
) -> list[Line]:
    """Return the line that has the target, and beneath it what explains it."""
    lines: list[tuple[str, Callable[[Sample], float], Target | None]] = [
        (f"{figure}, p50 at {plan.rate:g}/s, {pages} sockets", frames_at(0.5), target),
        ("  the same, p99", frames_at(0.99), None),
        ("  callback → its answer 200, p50", answers_at(0.5), None),
        ("  CPU of the server, per callback", cpu_per_callback, None),
    ]
    return [
        Line(
            row,
            figure,
            "ms",
            **{name.lower(): in_milliseconds(each, measure) for name, each in samples.items()},
            target=target,
            note=_lost_by(samples) if target else "",
        )
        for figure, measure, target in lines
    ]


def needed(plan: Plan, pages: int) -> int:
    return min(WARMING, pages) + plan.repetitions * pages


def interleaved(apps: Sequence[App], plan: Plan, pages: int) -> dict[str, list[Sample]]:
    """Measure the applications in turn, each repetition beginning with another one."""
    samples: dict[str, list[Sample]] = {app.name: [] for app in apps}
    turns = deque(apps)
    with pinned_to(LOAD_CORE):
        for app in apps:
            _measure(app, plan, min(WARMING, pages), seed=0)
        for repetition in range(plan.repetitions):
            for app in turns:
                samples[app.name].append(_measure(app, plan, pages, seed=repetition))
            turns.rotate(-1)
    return samples


def _measure(app: App, plan: Plan, pages: int, *, seed: int) -> Sample:
    sample = asyncio.run(run_load(app, pages, rate=plan.rate, seed=seed))
    if sample.lost and app.name == "floor":
        raise NotMeasured(f"The floor itself lost {sample.lost} of {pages} pushes: this machine is too busy.")
    return sample


def _lost_by(samples: dict[str, list[Sample]]) -> str:
    """Name who lost pushes, or told a page so late that it counts as lost."""
    pushes = {name: sum(len(sample.frames) for sample in each) for name, each in samples.items()}
    lost = {name: sum(sample.lost for sample in each) for name, each in samples.items()}
    return "; ".join(f"{name} lost {count} of {pushes[name]} pushes" for name, count in lost.items() if count)


ROWS: dict[int, Row] = {
    1: callback_to_frame,
    2: long_run,
    11: idle_sockets,
    15: boards_open,
    20: weight,
}
