"""Row 8: what a customer who waits costs the server: an open socket, a poll every three seconds, server-sent events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from bench.apps import App, naive_app, papo_app, two
from bench.capacity import poll_of_naive
from bench.figures import Line, Target
from bench.load import complete, connect, new_caller, open_pages, until_quiet
from bench.machine import LOAD_CORE, cpu_seconds, pinned_to
from bench.rows import Plan, Row
from bench.wire import Stream

POLLED_EVERY = 3.0  # seconds, as the seed's page does
POLLERS = 300
VISIT = 30.0  # seconds that a customer waits for the confirmation
MINUTE = 60.0


def waiting(plan: Plan, directory: Path, services: dict[str, str]) -> list[Line]:
    """Return the CPU of a customer's minute, and of a whole visit, of the socket against polls."""
    seconds, pages, pollers = plan.waiting_seconds, plan.many_pages, min(POLLERS, plan.many_pages)
    visit = min(VISIT, seconds)
    with two(papo_app, naive_app, directory, services, payments=3 * pages + 1) as (papo, naive), pinned_to(LOAD_CORE):
        alone, naive_alone = _both(_nobody(papo, seconds), _nobody(naive, seconds))
        sockets, polls = _both(_sockets(papo, pages, seconds), _polls(naive, pollers, seconds))
        visits, streams = _both(_visits(papo, pages, visit, plan.rate), _streams(naive, pages, seconds))
        calls = asyncio.run(_callbacks(papo, pages, visit, plan.rate))
    socket, poll, stream = (sockets - alone) / pages, (polls - naive_alone) / pollers, (streams - naive_alone) / pages
    return [
        Line(8, "CPU of a minute with a socket open; naive: polled every 3 s", "ms", socket, naive=poll,
             target=Target(0.01, 0.0033, over="naive")),
        Line(8, "  naive: server-sent events, kept alive every 20 s", "ms", None, naive=stream),
        Line(8, "  of the process itself, whoever waits", "ms", alone, naive=naive_alone),
        Line(8, f"CPU of a visit: opened, {VISIT:g} s, pushed, left; naive: polled", "ms", (visits - calls) / pages,
             naive=poll * VISIT / MINUTE, target=Target(0.167, 0.05, over="naive")),
    ]  # fmt: skip


def _both(one: Coroutine[Any, Any, float], other: Coroutine[Any, Any, float]) -> Sequence[float]:
    """Measure two servers at once: each one's CPU is its own."""

    async def both() -> Sequence[float]:
        return await asyncio.gather(one, other)

    return asyncio.run(both())


# Milliseconds of the server's CPU in a minute ---------------------------------------------------------------------


async def _nobody(app: App, seconds: float) -> float:
    await until_quiet(app)
    return await _used(app, seconds)


async def _used(app: App, seconds: float) -> float:
    before = cpu_seconds(app.process_id)
    await asyncio.sleep(seconds)
    return 1000 * (cpu_seconds(app.process_id) - before) * MINUTE / seconds


async def _sockets(app: App, pages: int, seconds: float) -> float:
    async with open_pages(app, app.take(pages)):
        return await _nobody(app, seconds)


async def _polls(app: App, pollers: int, seconds: float) -> float:
    request = poll_of_naive(app)
    polling = [asyncio.create_task(_keep_polling(app, request)) for _ in range(pollers)]
    await asyncio.sleep(POLLED_EVERY)  # then all of them have begun
    used = await _used(app, seconds)
    for each in polling:
        each.cancel()
    await asyncio.gather(*polling, return_exceptions=True)
    return used


async def _keep_polling(app: App, request: bytes) -> None:
    await asyncio.sleep(random.uniform(0, POLLED_EVERY))
    caller = await new_caller(app)
    try:
        while True:
            _, answer = caller.post(request)
            await answer
            await asyncio.sleep(POLLED_EVERY)
    finally:
        caller.close()


async def _streams(app: App, pages: int, seconds: float) -> float:
    paths = [f"/events/{payment.socket_path.split('/')[3]}/" for payment in app.take(pages)]
    opened = [await connect(app, lambda path=path: Stream(path, app.port)) for path in paths]  # type: ignore[misc]
    await asyncio.gather(*(stream.begun for stream in opened))
    used = await _nobody(app, seconds)
    for stream in opened:
        stream.leave()
    return used


# Milliseconds of the server's CPU for so many visits --------------------------------------------------------------


async def _visits(app: App, pages: int, seconds: float, rate: float) -> float:
    """Have customers come, wait for so many seconds, be told and leave."""
    payments, before = app.take(pages), cpu_seconds(app.process_id)
    async with open_pages(app, payments) as opened:
        await asyncio.sleep(seconds)
        await complete(app, payments, opened, rate=rate, seed=8)
    await until_quiet(app)
    return 1000 * (cpu_seconds(app.process_id) - before)


async def _callbacks(app: App, pages: int, seconds: float, rate: float) -> float:
    """Have the same happen while nobody is there: what is left is what was done for the pages."""
    payments, before = app.take(pages), cpu_seconds(app.process_id)
    await asyncio.sleep(seconds)
    await complete(app, payments, [None] * pages, rate=rate, seed=8)
    await until_quiet(app)
    return 1000 * (cpu_seconds(app.process_id) - before)


ROWS: dict[int, Row] = {8: waiting}
