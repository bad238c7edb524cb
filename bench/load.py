"""The load: pages that wait, and callbacks that come at random moments whether or not the last was answered."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from bench.apps import App
from bench.machine import cpu_seconds, memory_kb
from bench.payments import Payment
from bench.wire import Caller, Page

OPENED_AT_ONCE = 25
OPEN_WITHIN = 30.0  # seconds, and one more for each
OPENED_A_SECOND = 50  # of them, at the very least
LATE = 1.0  # seconds after which a push counts as lost in an overload
CALLERS = 16  # connections opened beforehand
SETTLING = 0.5  # seconds between opening the pages and the first callback
PATIENCE = 5.0  # seconds after which a frame counts as lost


@dataclass
class Sample:
    """What one repetition measured, in seconds from the moment the callback left."""

    frames: list[float] = field(default_factory=list)  # until the page was told; infinite for a page that never was
    answers: list[float] = field(default_factory=list)  # until the callback was answered
    cpu: float = 0.0  # of the server, while the callbacks came

    @property
    def lost(self) -> int:
        return sum(map(math.isinf, self.frames))


async def run_load(app: App, pages: int, *, rate: float, seed: int, completed: int = 0) -> Sample:
    """Open pages of as many payments, then complete each of them once, `rate` a second in a Poisson process.

    `completed`: only so many of them; the others stay open and hear nothing.
    """
    payments = app.take(pages)
    async with _open_pages(app, payments) as opened:
        await asyncio.sleep(SETTLING)
        before = cpu_seconds(app.process_id)
        with _without_collector():
            some = slice(completed or None)
            sample = await _complete(app.port, payments[some], opened[some], rate=rate, seed=seed)
        sample.cpu = cpu_seconds(app.process_id) - before
        return sample


async def run_overload(app: App, pages: int, *, callers: int) -> Sample:
    """Complete every payment as fast as `callers` at once can; a frame later than LATE after its answer is lost."""
    payments = app.take(pages)
    async with _open_pages(app, payments) as opened:
        await asyncio.sleep(SETTLING)
        sample, queue, before = Sample(), deque(zip(payments, opened, strict=True)), cpu_seconds(app.process_id)
        await asyncio.gather(*(_keep_calling(app.port, queue, sample) for _ in range(callers)))
        sample.cpu = cpu_seconds(app.process_id) - before
        await asyncio.sleep(LATE)
        sample.frames = [page.told.result() if page.told.done() else math.inf for page in opened]
        return sample


async def _keep_calling(port: int, queue: deque[tuple[Payment, Page]], sample: Sample) -> None:
    caller = await _new_caller(port)
    while queue:
        payment, _ = queue.popleft()
        if caller.is_closed:
            caller = await _new_caller(port)
        left, answer = caller.post(payment.request(port))
        sample.answers.append(await answer - left)
    caller.close()


async def run_requests(app: App, request: bytes, *, count: int, callers: int) -> Sample:
    """Send one request `count` times, as fast as `callers` at once can."""
    sample, before = Sample(), cpu_seconds(app.process_id)

    async def call() -> None:
        caller = await _new_caller(app.port)
        while len(sample.answers) < count:
            if caller.is_closed:
                caller = await _new_caller(app.port)
            left, answer = caller.post(request)
            sample.answers.append(await answer - left)
        caller.close()

    await asyncio.gather(*(call() for _ in range(callers)))
    sample.cpu = cpu_seconds(app.process_id) - before
    return sample


async def run_openings(app: App, pages: int, *, offers_deflate: bool) -> tuple[Sample, float]:
    """Open so many pages; return the sample, and how many KB of memory each of them keeps."""
    payments, sample = app.take(pages), Sample()
    before, memory = cpu_seconds(app.process_id), memory_kb(app.process_id)
    async with _open_pages(app, payments, offers_deflate=offers_deflate) as opened:
        sample.cpu, sample.answers = cpu_seconds(app.process_id) - before, [0.0] * len(opened)
        return sample, (memory_kb(app.process_id) - memory) / len(opened)


async def count_lost_pages(app: App, pages: int, *, rate: float, idle_seconds: float) -> int:
    """Leave pages open for a while, complete their payments and return how many pages never heard of it."""
    payments = app.take(pages)
    async with _open_pages(app, payments) as opened:
        await asyncio.sleep(idle_seconds)
        alive = [(payment, page) for payment, page in zip(payments, opened, strict=True) if not page.is_lost]
        sample = await _complete(app.port, *_unzipped(alive), rate=rate, seed=0)
        return len(opened) - len(alive) + sample.lost


def _unzipped(pairs: list[tuple[Payment, Page]]) -> tuple[list[Payment], list[Page]]:
    return [payment for payment, _ in pairs], [page for _, page in pairs]


@asynccontextmanager
async def _open_pages(
    app: App, payments: Sequence[Payment], *, offers_deflate: bool = False
) -> AsyncIterator[list[Page]]:
    turn = asyncio.Semaphore(OPENED_AT_ONCE)
    async with asyncio.timeout(OPEN_WITHIN + len(payments) / OPENED_A_SECOND):
        pages = await asyncio.gather(*(_open_page(app, payment, turn, offers_deflate) for payment in payments))
    try:
        yield pages
    finally:
        for page in pages:
            page.leave()
        await asyncio.sleep(SETTLING)


async def _open_page(app: App, payment: Payment, turn: asyncio.Semaphore, offers_deflate: bool) -> Page:
    url = f"ws://127.0.0.1:{app.port}{payment.socket_path}"
    async with turn:
        _, page = await asyncio.get_running_loop().create_connection(
            lambda: Page(url, headers=payment.headers, offers_deflate=offers_deflate), "127.0.0.1", app.port
        )
        await page.opened
        if app.greets:
            await page.greeted
    return page


async def _complete(port: int, payments: Sequence[Payment], pages: Sequence[Page], *, rate: float, seed: int) -> Sample:
    sample, callers = Sample(), [await _new_caller(port) for _ in range(CALLERS)]
    requests = [payment.request(port) for payment in payments]
    moments = _poisson(rate, seed)
    running = []
    begin = time.perf_counter()
    for request, page in zip(requests, pages, strict=True):
        await asyncio.sleep(max(0.0, begin + next(moments) - time.perf_counter()))
        running.append(asyncio.create_task(_call(port, callers, request, page, sample)))
    try:
        await asyncio.gather(*running)
    finally:
        for caller in callers:
            caller.close()
    return sample


def _poisson(rate: float, seed: int) -> Iterator[float]:
    """Yield the moments of the callbacks, in seconds; the same for every application of a repetition."""
    chance, moment = random.Random(seed), 0.0
    while True:
        moment += chance.expovariate(rate)
        yield moment


async def _call(port: int, callers: list[Caller], request: bytes, page: Page, sample: Sample) -> None:
    while callers and callers[-1].is_closed:
        callers.pop()
    caller = callers.pop() if callers else await _new_caller(port)
    left, answer = caller.post(request)
    sample.answers.append(await answer - left)
    callers.append(caller)
    try:
        async with asyncio.timeout(PATIENCE):
            sample.frames.append(await page.told - left)
    except TimeoutError:
        sample.frames.append(math.inf)


async def _new_caller(port: int) -> Caller:
    _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
    return caller


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the garbage collector's pauses in this process out of the figures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
