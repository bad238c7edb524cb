"""The load: pages that wait, and callbacks that come at random moments whether or not the last was answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from bench.apps import App
from bench.machine import cpu_seconds, memory_kb
from bench.payments import Payment
from bench.wire import Caller, Page

Connected = TypeVar("Connected", bound=asyncio.Protocol)

OPENED_AT_ONCE = 25
OPEN_WITHIN = 30.0  # seconds, and one more for each
OPENED_A_SECOND = 50  # of them, at the very least
LATE = 1.0  # seconds after which a push counts as lost in an overload
CALLERS = 16  # connections opened beforehand
SETTLING = 0.5  # seconds between opening the pages and the first callback
BUSY = 0.05  # seconds of CPU in SETTLING; less is what a server does for itself
QUIET_WITHIN = 20.0  # seconds
PATIENCE = 5.0  # seconds after which a frame counts as lost


@dataclass
class Sample:
    """What one repetition measured, in seconds from the moment the callback left."""

    frames: list[float] = field(default_factory=list)  # until the page was told; infinite for a page that never was
    answers: list[float] = field(default_factory=list)  # until the callback was answered
    cpu: float = 0.0  # of the server, while the callbacks came
    memory: float = 0.0  # KB of the server, while the pages were open
    wall: float = 0.0  # from the first callback of an overload to the last answer

    @property
    def lost(self) -> int:
        return sum(map(math.isinf, self.frames))


async def run_load(app: App, pages: int, *, rate: float, seed: int, completed: int = 0) -> Sample:
    """Open pages of as many payments, then complete each of them once, `rate` a second in a Poisson process.

    `completed`: only so many of them; the others stay open and hear nothing.
    """
    payments = app.take(pages)
    async with open_pages(app, payments) as opened:
        await asyncio.sleep(SETTLING)
        before = cpu_seconds(app.process_id)
        with without_collector():
            some = slice(completed or None)
            sample = await complete(app, payments[some], opened[some], rate=rate, seed=seed)
        sample.cpu, sample.memory = cpu_seconds(app.process_id) - before, memory_kb(app.process_id)
        return sample


async def run_overload(app: App, pages: int, *, callers: int) -> Sample:
    """Complete every payment as fast as `callers` at once can; a frame later than LATE after its answer is lost."""
    payments = app.take(pages)
    async with open_pages(app, payments) as opened:
        await asyncio.sleep(SETTLING)
        sample, queue, before = Sample(), deque(payments), cpu_seconds(app.process_id)
        began = time.perf_counter()
        await asyncio.gather(*(_keep_calling(app, queue, sample) for _ in range(callers)))
        sample.wall = time.perf_counter() - began
        sample.cpu = cpu_seconds(app.process_id) - before
        await asyncio.sleep(LATE)
        sample.frames = [page.told.result() if page.told.done() else math.inf for page in opened]
        return sample


async def run_rolling(app: App, payments: int, *, window: int, rate: float, seed: int) -> Sample:
    """Complete payments as `run_load` does, but of customers who come and go: with each callback a page opens.

    `window`: so many pages wait at any time.
    """
    coming = deque(app.take(payments + window - 1))
    turn = asyncio.Semaphore(OPENED_AT_ONCE)
    waiting: deque[tuple[Payment, asyncio.Task[Page]]] = deque()

    def open_next() -> None:
        if coming:
            payment = coming.popleft()
            waiting.append((payment, asyncio.create_task(open_page(app, payment, turn))))

    for _ in range(window):
        open_next()
    await asyncio.gather(*(page for _, page in waiting))
    await asyncio.sleep(SETTLING)
    before = cpu_seconds(app.process_id)
    with without_collector():
        sample = await _complete_in_turn(app, payments, waiting, open_next, rate=rate, seed=seed)
    sample.cpu = cpu_seconds(app.process_id) - before
    for _, page in waiting:
        (await page).leave()
    await asyncio.sleep(SETTLING)
    return sample


async def _complete_in_turn(
    app: App,
    count: int,
    waiting: deque[tuple[Payment, asyncio.Task[Page]]],
    open_next: Callable[[], None],
    *,
    rate: float,
    seed: int,
) -> Sample:
    sample, moments = Sample(), _poisson(rate, seed)
    async with _callers(app) as callers:

        async def visit(payment: Payment, page: Page) -> None:
            await _call(app, callers, payment.request(app.port), page, sample)
            page.leave()

        running, begin = [], time.perf_counter()
        for _ in range(count):
            await asyncio.sleep(max(0.0, begin + next(moments) - time.perf_counter()))
            payment, page = waiting.popleft()
            running.append(asyncio.create_task(visit(payment, await page)))
            open_next()
        await asyncio.gather(*running)
    return sample


async def _keep_calling(app: App, queue: deque[Payment], sample: Sample) -> None:
    caller = await new_caller(app)
    while queue:
        payment = queue.popleft()
        if caller.is_closed:
            caller = await new_caller(app)
        left, answer = caller.post(payment.request(app.port))
        sample.answers.append(await answer - left)
    caller.close()


async def run_requests(app: App, request: bytes, *, count: int, callers: int) -> Sample:
    """Send one request `count` times, as fast as `callers` at once can."""
    sample, before = Sample(), cpu_seconds(app.process_id)

    async def call() -> None:
        caller = await new_caller(app)
        while len(sample.answers) < count:
            if caller.is_closed:
                caller = await new_caller(app)
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
    async with open_pages(app, payments, offers_deflate=offers_deflate) as opened:
        sample.cpu, sample.answers = cpu_seconds(app.process_id) - before, [0.0] * len(opened)
        return sample, (memory_kb(app.process_id) - memory) / len(opened)


async def count_lost_pages(app: App, pages: int, *, rate: float, idle_seconds: float) -> int:
    """Leave pages open for a while, complete their payments and return how many pages never heard of it."""
    payments = app.take(pages)
    async with open_pages(app, payments) as opened:
        await asyncio.sleep(idle_seconds)
        alive = [(payment, page) for payment, page in zip(payments, opened, strict=True) if not page.is_lost]
        sample = await complete(app, *_unzipped(alive), rate=rate, seed=0)
        return len(opened) - len(alive) + sample.lost


def _unzipped(pairs: list[tuple[Payment, Page]]) -> tuple[list[Payment], list[Page]]:
    return [payment for payment, _ in pairs], [page for _, page in pairs]


@asynccontextmanager
async def open_pages(
    app: App, payments: Sequence[Payment], *, offers_deflate: bool = False, kind: type[Page] = Page
) -> AsyncIterator[list[Page]]:
    """Open the pages of `payments`, a few at once, and close them at the end."""
    turn = asyncio.Semaphore(OPENED_AT_ONCE)
    async with asyncio.timeout(OPEN_WITHIN + len(payments) / OPENED_A_SECOND):
        pages = await asyncio.gather(*(open_page(app, payment, turn, offers_deflate, kind) for payment in payments))
    try:
        yield pages
    finally:
        for page in pages:
            page.leave()
        await asyncio.sleep(SETTLING)


async def open_page(
    app: App, payment: Payment, turn: asyncio.Semaphore, offers_deflate: bool = False, kind: type[Page] = Page
) -> Page:
    """Open the page of a payment when it is its `turn`; it has been told the present state, where that is told."""
    url = f"ws://127.0.0.1:{app.port}{payment.socket_path}"
    async with turn:
        page = await connect(app, lambda: kind(url, headers=payment.headers, offers_deflate=offers_deflate))
        await page.opened
        if not app.greets:
            page.expect_no_greeting()
        await page.greeted
    return page


async def until_quiet(app: App) -> None:
    """Wait until the server has nothing left to do, for a while; or one measurement would work in the next."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(QUIET_WITHIN):
            before = -math.inf
            while (now := cpu_seconds(app.process_id)) - before > BUSY:
                before = now
                await asyncio.sleep(SETTLING)


async def complete(
    app: App, payments: Sequence[Payment], pages: Sequence[Page | None], *, rate: float, seed: int
) -> Sample:
    """Complete each payment once, `rate` a second in a Poisson process; None for one that nobody watches."""
    sample, moments, running = Sample(), _poisson(rate, seed), []
    requests = [payment.request(app.port) for payment in payments]
    async with _callers(app) as callers:
        begin = time.perf_counter()
        for request, page in zip(requests, pages, strict=True):
            await asyncio.sleep(max(0.0, begin + next(moments) - time.perf_counter()))
            running.append(asyncio.create_task(_call(app, callers, request, page, sample)))
        await asyncio.gather(*running)
    return sample


@asynccontextmanager
async def _callers(app: App) -> AsyncIterator[list[Caller]]:
    """Yield connections that are open already; whoever calls takes one out and puts it back."""
    callers = [await new_caller(app) for _ in range(CALLERS)]
    try:
        yield callers
    finally:
        for caller in callers:
            caller.close()


def _poisson(rate: float, seed: int) -> Iterator[float]:
    """Yield the moments of the callbacks, in seconds; the same for every application of a repetition."""
    chance, moment = random.Random(seed), 0.0
    while True:
        moment += chance.expovariate(rate)
        yield moment


async def _call(app: App, callers: list[Caller], request: bytes, page: Page | None, sample: Sample) -> None:
    while callers and callers[-1].is_closed:
        callers.pop()
    caller = callers.pop() if callers else await new_caller(app)
    left, answer = caller.post(request)
    sample.answers.append(await answer - left)
    callers.append(caller)
    if page is None:
        return
    try:
        async with asyncio.timeout(PATIENCE):
            sample.frames.append(await page.told - left)
    except TimeoutError:
        sample.frames.append(math.inf)


async def new_caller(app: App) -> Caller:
    """Return a connection for one request after the other."""
    return await connect(app, Caller)


async def connect(app: App, protocol: Callable[[], Connected]) -> Connected:
    """Connect to the server from the next of its addresses."""
    address = next(app.addresses)
    loop = asyncio.get_running_loop()
    _, connected = await loop.create_connection(
        protocol, "127.0.0.1", app.port, local_addr=(address, 0) if address else None
    )
    return connected


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector's pauses in this process out of the figures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
