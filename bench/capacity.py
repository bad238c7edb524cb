"""What one core can do: callbacks, polls, openings, and what thousands of open pages cost."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import requests

from bench.apps import App, all_three, naive_app, own_database, papo_app, two
from bench.figures import Line, Target, frames_at, per_core
from bench.load import Sample, run_load, run_openings, run_overload, run_requests
from bench.machine import LOAD_CORE, memory_kb, pinned_to
from bench.rows import Plan, Row

CALLERS = 16  # at once, in an overload


def overload(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Rows 3 and 4: as many callbacks as 16 callers can post, and the pushes that this loses."""
    with all_three(directory, services, payments=plan.pages * plan.repetitions) as apps, pinned_to(LOAD_CORE):
        samples: dict[str, list[Sample]] = {app.name.lower(): [] for app in apps}
        for _ in range(plan.repetitions):
            for app in apps:
                samples[app.name.lower()].append(asyncio.run(run_overload(app, plan.pages, callers=CALLERS)))
    rates = {name: median(map(per_core, each)) for name, each in samples.items()}
    lost = {name: sum(sample.lost for sample in each) for name, each in samples.items()}
    more, none = Target(3, 6, over="naive", at_least=True), Target(0, 0, unit="", over="")
    return [
        Line(3, "callbacks a second and core, 16 at once", "/s", **rates, target=more),
        Line(4, f"pushes lost or later than 1 s, of {plan.pages * plan.repetitions}", "", **lost, target=none),
    ]


def polls(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 9: polls that bring nothing new, a 304, over the naive view."""
    with two(papo_app, naive_app, directory, services, payments=1) as (papo, naive), pinned_to(LOAD_CORE):
        requests_ = {"papo": poll_of_papo(papo), "naive": poll_of_naive(naive)}
        rates: dict[str, list[float]] = {"papo": [], "naive": []}
        for _ in range(plan.repetitions):
            for app in (papo, naive):
                name = app.name.lower()
                sample = asyncio.run(run_requests(app, requests_[name], count=plan.polls, callers=CALLERS))
                rates[name].append(per_core(sample))
    target = Target(2, 5, over="naive", at_least=True)
    return [
        Line(9, "polls a second and core", "/s", median(rates["papo"]), naive=median(rates["naive"]), target=target)
    ]


def openings(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Rows 6 and 7: pages opened, each told the present state, and what an open one keeps in memory."""
    with two(papo_app, naive_app, directory, services, payments=plan.many_pages * 2) as apps, pinned_to(LOAD_CORE):
        rates, kilobytes = {}, {}
        for app in apps:
            asyncio.run(run_openings(app, min(100, plan.many_pages), offers_deflate=True))  # what comes once
            sample, memory = asyncio.run(run_openings(app, plan.many_pages, offers_deflate=True))
            rates[app.name.lower()], kilobytes[app.name.lower()] = per_core(sample), memory
    return [
        Line(6, f"memory of an idle socket, {plan.many_pages} open, client offers deflate", "KB", **kilobytes,
             target=Target(36, 24, unit=" KB", over="")),
        Line(7, "sockets opened a second and core, state sent; naive: session stack", "/s", **rates,
             target=Target(2, 4, over="naive", at_least=True)),
    ]  # fmt: skip


def many_pages(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Row 5: does a push take longer when thousands of other pages are open, and what does each of them keep?"""
    repetitions = min(plan.few_repetitions, plan.repetitions)
    few, some, most = sizes = (plan.few_pages, plan.pages, plan.most_pages)
    p50: dict[int, list[float]] = {size: [] for size in sizes}
    with ExitStack() as stack, pinned_to(LOAD_CORE):
        url = stack.enter_context(own_database(services["DATABASE_URL"]))
        urls = {"DATABASE_URL": url, "REDIS_URL": services["REDIS_URL"]}
        papo = stack.enter_context(papo_app(directory, payments=sum(sizes) * repetitions, **urls))
        before = memory_kb(papo.process_id)
        for seed in range(repetitions):
            for size in sizes:
                sample = asyncio.run(run_load(papo, size, rate=plan.rate, seed=seed, completed=min(size, plan.pages)))
                p50[size].append(1000 * frames_at(0.5)(sample))
        memory = (sample.memory - before) / most
    middle = {size: median(each) for size, each in p50.items()}
    figure = f"callback → frame, p50, {most} sockets (floor: {some})"
    return [
        Line(5, figure, "ms", middle[most], floor=middle[some], target=Target(1.25, 1.1)),
        Line(5, f"  the same, {few} sockets (floor: {some})", "ms", middle[few], floor=middle[some]),
        Line(5, f"  memory of each of {most} open sockets, after all this", "KB", memory),
    ]


def poll_of_papo(app: App) -> bytes:
    """Return the request of a page that knows the present version."""
    transaction_id = app.take(1)[0].socket_path.split("/")[3]
    path = f"/payments/status/?transaction_id={transaction_id}"
    etag = requests.get(f"http://127.0.0.1:{app.port}{path}", timeout=10).headers["ETag"]
    return _get(app, path, f"If-None-Match: {etag}")


def poll_of_naive(app: App) -> bytes:
    """Return the request of a page that asks again."""
    return _get(app, f"/status/{app.take(1)[0].socket_path.split('/')[3]}/")


def _get(app: App, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{app.port}", *headers, "", ""]).encode()


ROWS: dict[int, Row] = {3: overload, 5: many_pages, 6: openings, 9: polls}  # 4 comes with 3, and 7 with 6
