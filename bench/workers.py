"""Row 14: what a second worker adds, behind nginx as it is deployed, where all of them share the machine's cores."""

from __future__ import annotations

import asyncio
import os
from itertools import cycle
from pathlib import Path
from statistics import median

from bench.apps import App
from bench.capacity import CALLERS
from bench.figures import Line, Target
from bench.load import Sample, run_overload
from bench.payments import written_by
from bench.rows import Plan, Row
from tests.fake_daraja import running_daraja
from tests.production.stack import Stack, running_stack

# nginx bounds what one address may do; Safaricom has several, and customers one each.
ADDRESSES = [f"127.0.0.{number}" for number in range(1, CALLERS + 1)]


def two_workers(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Measure callbacks a second of one worker and of two, in turn; nothing is kept on a core of its own."""
    samples: dict[int, list[Sample]] = {1: [], 2: []}
    repetitions = min(plan.few_repetitions, plan.repetitions)
    with running_daraja() as (_, daraja_url), running_stack(daraja_url) as stack:
        app = _behind_nginx(stack, payments=plan.many_pages * (2 * repetitions + 1))
        asyncio.run(run_overload(app, plan.many_pages, callers=CALLERS))  # what comes once
        for repetition in range(repetitions):
            for workers in (2, 1) if repetition % 2 else (1, 2):
                _run_workers(stack, workers)
                samples[workers].append(asyncio.run(run_overload(app, plan.many_pages, callers=CALLERS)))
    rates = {workers: median(map(_a_second, each)) for workers, each in samples.items()}
    lost = sum(sample.lost for each in samples.values() for sample in each)
    return [
        Line(
            14,
            f"callbacks a second behind nginx, two workers (floor: one), {CALLERS} at once",
            "/s",
            rates[2],
            floor=rates[1],
            target=Target(1.2, 1.3, at_least=True),
            note=f"{lost} pushes came later than a second, or never" if lost else "",
        )
    ]


def _behind_nginx(stack: Stack, *, payments: int) -> App:
    written = written_by("bench.papo.fill", payments, {**os.environ, **stack.settings})
    process = stack.workers[0].process
    assert process is not None
    return App("Papo", stack.port, process.pid, written, greets=True, addresses=cycle(ADDRESSES))


def _run_workers(stack: Stack, count: int) -> None:
    second = stack.workers[1]
    if count == 1:
        second.stop()
    elif second.process is None:
        second.start()


def _a_second(sample: Sample) -> float:
    return len(sample.answers) / sample.wall


ROWS: dict[int, Row] = {14: two_workers}
