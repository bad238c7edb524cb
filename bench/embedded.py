"""Row 12: what `make run` starts on a bare machine; SQLite with synchronous=FULL, no Redis, Daphne."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

from bench.apps import App, floor_app, papo_app
from bench.capacity import CALLERS, poll_of_papo
from bench.figures import Line, Target, per_core
from bench.load import run_openings, run_overload, run_requests
from bench.machine import LOAD_CORE, pinned_to
from bench.rows import Plan, Row, interleaved, lines_of, needed


def embedded(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Measure a push over its own floor, and beneath it what rows 3, 6, 7 and 9 measure on PostgreSQL."""
    repetitions = min(plan.few_repetitions, plan.repetitions)
    payments = needed(plan, plan.embedded_pages) + plan.embedded_pages * repetitions + plan.many_pages + 1
    with floor_app(directory, payments=payments) as floor, papo_app(directory, payments=payments) as papo:
        samples = interleaved([floor, papo], plan, plan.embedded_pages)
        lines = lines_of(12, "embedded: callback → frame", samples, plan, plan.embedded_pages, Target(4.0, 2.0))
        with pinned_to(LOAD_CORE):
            rates = {app.name.lower(): _callbacks(app, plan, repetitions) for app in (floor, papo)}
            return [
                *lines,
                Line(12, f"  callbacks a second and core, {CALLERS} at once", "/s", **rates),
                *_openings(papo, plan),
                Line(12, "  polls a second and core", "/s", _polls(papo, plan)),
            ]


def _callbacks(app: App, plan: Plan, repetitions: int) -> float:
    runs = [asyncio.run(run_overload(app, plan.embedded_pages, callers=CALLERS)) for _ in range(repetitions)]
    return median(map(per_core, runs))


def _openings(papo: App, plan: Plan) -> list[Line]:
    sample, kilobytes = asyncio.run(run_openings(papo, plan.many_pages, offers_deflate=True))
    return [
        Line(12, f"  memory of an idle socket, {plan.many_pages} open", "KB", kilobytes),
        Line(12, "  sockets opened a second and core", "/s", per_core(sample)),
    ]


def _polls(papo: App, plan: Plan) -> float:
    return per_core(asyncio.run(run_requests(papo, poll_of_papo(papo), count=plan.polls, callers=CALLERS)))


ROWS: dict[int, Row] = {12: embedded}
