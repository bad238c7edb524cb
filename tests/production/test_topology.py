"""The deployment as docker-compose.yml describes it, hurt in every way that a night on call brings.

`make prod-smoke`. Each test sends callbacks through nginx at 50 a second with every page open, and asks for the same:
each callback was answered 200, and each page came to say so by itself.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.client import Shop
from tests.fake_daraja import FakeDaraja, running_daraja
from tests.production.load import CONVERGED_WITHIN, Load, Visit, callbacks, prepared
from tests.production.pages import Pages, open_pages
from tests.production.stack import Stack, running_stack

pytestmark = [pytest.mark.long, pytest.mark.services]

RATE = 50.0  # callbacks a second
PAGES = 80  # below the 100 sockets that nginx allows an address


@pytest.fixture(scope="module")
def daraja() -> Iterator[tuple[FakeDaraja, str]]:
    with running_daraja() as found:
        yield found


@pytest.fixture(scope="module")
def stack(daraja: tuple[FakeDaraja, str]) -> Iterator[Stack]:
    with running_stack(daraja[1]) as found:
        yield found


@pytest.fixture
def begin(stack: Stack, daraja: tuple[FakeDaraja, str]) -> list[Visit]:
    return prepared(Shop(stack.workers[0].base_url), daraja[0], PAGES)


def _all_is_well(stack: Stack, load: Load, pages: Pages, *, within: float = CONVERGED_WITHIN) -> None:
    assert load.refused == []
    assert pages.wait([visit.id for visit in load.visits], within=within) == []
    shop = Shop(stack.base_url)
    for visit in load.visits:
        document = shop.status(visit.id)
        assert (document["status"], document["version"]) == ("COMPLETED", document["version"])
        order = shop.order_now(document["order_id"])
        assert (order["status"], order["amount_paid"]) == ("PAID", order["amount"])


def test_a_quiet_day(stack: Stack, begin: list[Visit]) -> None:
    with open_pages(stack.base_url, [visit.id for visit in begin]) as pages:
        with callbacks(begin, rate=RATE) as load:
            pass
        _all_is_well(stack, load, pages)
        late = [pages.completed[visit.id] - visit.answered_at for visit in begin]
        assert max(late) < CONVERGED_WITHIN


def test_every_worker_is_replaced_under_load(stack: Stack, begin: list[Visit]) -> None:
    with open_pages(stack.base_url, [visit.id for visit in begin]) as pages:
        with callbacks(begin, rate=RATE / 4) as load:
            for worker in stack.workers:
                assert worker.stop() == 0
                worker.start()
        _all_is_well(stack, load, pages)
        assert 4000 in pages.closed
    assert all("Traceback" not in worker.output for worker in stack.workers)


def test_a_worker_that_is_killed_is_invisible_to_safaricom(stack: Stack, begin: list[Visit]) -> None:
    with open_pages(stack.base_url, [visit.id for visit in begin]) as pages:
        with callbacks(begin, rate=RATE) as load:
            time.sleep(0.7)
            stack.workers[0].kill()
        _all_is_well(stack, load, pages)
    stack.workers[0].start()


def test_redis_is_away_for_twenty_seconds(stack: Stack, begin: list[Visit]) -> None:
    with open_pages(stack.base_url, [visit.id for visit in begin]) as pages:
        with callbacks(begin, rate=5.0) as load:
            time.sleep(1)
            stack.redis.end(signal.SIGKILL)
            time.sleep(20)
            stack.redis.start()
        _all_is_well(stack, load, pages)
        late = [pages.completed[visit.id] - visit.answered_at for visit in begin]
        assert max(late) < CONVERGED_WITHIN  # also while Redis was away


def test_postgresql_restarts(stack: Stack, begin: list[Visit]) -> None:
    shop = Shop(stack.base_url)
    with open_pages(stack.base_url, [visit.id for visit in begin]) as pages:
        with callbacks(begin, rate=RATE / 2) as load:
            time.sleep(1)
            stack.postgresql.end(signal.SIGINT)
            stack.postgresql.start()
            back_at = time.monotonic()
            while shop.get("/readyz").status_code != 200:
                time.sleep(0.05)
            assert time.monotonic() - back_at < CONVERGED_WITHIN
        _all_is_well(stack, load, pages, within=2 * CONVERGED_WITHIN)  # some were spooled, and are replayed first
