"""The load: pages that wait, and callbacks that come at random moments whether or not the last was answered."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from bench.payments import Payment
from bench.wire import Caller, Page

OPENED_AT_ONCE = 25
OPEN_WITHIN = 30.0  # seconds
CALLERS = 16  # connections opened beforehand
SETTLING = 0.5  # seconds between opening the pages and the first callback
PATIENCE = 5.0  # seconds after which a frame counts as lost


@dataclass
class Sample:
    """What one repetition measured, in seconds from the moment the callback left."""

    frames: list[float] = field(default_factory=list)  # until the page was told; infinite for a page that never was
    answers: list[float] = field(default_factory=list)  # until the callback was answered

    @property
    def lost(self) -> int:
        return sum(map(math.isinf, self.frames))


async def run_load(port: int, payments: Sequence[Payment], *, greets: bool, rate: float, seed: int) -> Sample:
    """Open a page for every payment, then complete each of them once, `rate` a second in a Poisson process."""
    async with _open_pages(port, payments, greets=greets) as pages:
        await asyncio.sleep(SETTLING)
        with _without_collector():
            return await _complete(port, payments, pages, rate=rate, seed=seed)


async def count_lost_pages(
    port: int, payments: Sequence[Payment], *, greets: bool, rate: float, idle_seconds: float
) -> int:
    """Leave pages open for a while, complete their payments and return how many pages never heard of it."""
    async with _open_pages(port, payments, greets=greets) as pages:
        await asyncio.sleep(idle_seconds)
        alive = [pair for pair in zip(payments, pages, strict=True) if not pair[1].is_lost]
        if alive:
            sample = await _complete(port, *zip(*alive, strict=True), rate=rate, seed=0)
            return len(pages) - len(alive) + sample.lost
        return len(pages)


@asynccontextmanager
async def _open_pages(port: int, payments: Sequence[Payment], *, greets: bool) -> AsyncIterator[list[Page]]:
    turn = asyncio.Semaphore(OPENED_AT_ONCE)
    async with asyncio.timeout(OPEN_WITHIN):
        pages = await asyncio.gather(*(_open_page(port, payment, greets, turn) for payment in payments))
    try:
        yield pages
    finally:
        for page in pages:
            page.leave()
        await asyncio.sleep(SETTLING)


async def _open_page(port: int, payment: Payment, greets: bool, turn: asyncio.Semaphore) -> Page:
    url = f"ws://127.0.0.1:{port}{payment.socket_path}"
    async with turn:
        _, page = await asyncio.get_running_loop().create_connection(lambda: Page(url), "127.0.0.1", port)
        await page.opened
        if greets:
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
