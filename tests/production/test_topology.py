"""The deployment as docker-compose.yml describes it, hurt in every way that a night on call brings.

`make prod-smoke`. Each test sends callbacks through nginx, up to 50 a second, with pages open, and asks for the same:
each callback was answered 200, and each page came to say so by itself.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.client import Shop
from tests.production.load import CONVERGED_WITHIN, Load, Visit, callbacks
from tests.production.pages import Pages, open_pages
from tests.production.stack import READY_WITHIN, Stack

pytestmark = [pytest.mark.long, pytest.mark.services]

Begin = Callable[[int], list[Visit]]

RATE = 50.0  # callbacks a second
EVERY = 4  # of so many payments one has its page open
AWAY = 20.0  # seconds that Redis is gone
HELD_UP_WITHIN = 30.0  # seconds


def _watched(visits: list[Visit]) -> list[Visit]:
    return visits[::EVERY]


@contextmanager
def _pages_of(stack: Stack, visits: list[Visit]) -> Iterator[Pages]:
    with open_pages(stack.base_url, [visit.id for visit in _watched(visits)]) as pages:
        yield pages


def _all_is_well(stack: Stack, load: Load, pages: Pages) -> None:
    """Every callback has its 200, every page says COMPLETED within 5 s, every order is paid once."""
    assert load.refused == []
    assert pages.wait([visit.id for visit in _watched(load.visits)], within=CONVERGED_WITHIN) == []
    with ThreadPoolExecutor(8) as auditors:
        assert set(auditors.map(lambda visit: _outcome(Shop(stack.base_url), visit), load.visits)) == {"paid"}


def _outcome(shop: Shop, visit: Visit) -> str:
    document = shop.status(visit.id)
    order = shop.order_now(document["order_id"])
    is_paid = document["status"] == "COMPLETED" and order["status"] == "PAID"
    return "paid" if is_paid and order["amount_paid"] == order["amount"] else f"{document} {order}"


def test_a_quiet_day(stack: Stack, begin: Begin) -> None:
    visits = begin(100)
    with _pages_of(stack, visits) as pages:
        with callbacks(visits, rate=RATE) as load:
            pass
        _all_is_well(stack, load, pages)
        assert pages.late(_watched(visits)) < CONVERGED_WITHIN


def test_every_worker_is_replaced_under_load(stack: Stack, begin: Begin) -> None:
    visits = begin(1000)
    with _pages_of(stack, visits) as pages:
        with callbacks(visits, rate=RATE, all_of_them=False) as load:
            time.sleep(1)
            for worker in stack.workers:
                assert worker.stop() == 0
                worker.start()
            time.sleep(1)
        assert load.rate > 0.9 * RATE
        _all_is_well(stack, load, pages)
        assert 4000 in pages.closed
        assert pages.late(_watched(load.visits)) < CONVERGED_WITHIN
    assert all("Traceback" not in worker.output for worker in stack.workers)


def test_a_worker_that_is_killed_in_the_middle_of_callbacks_is_invisible_to_safaricom(
    stack: Stack, begin: Begin
) -> None:
    """Callbacks have been stored and wait for their payments' rows, on both workers, when one of these is killed."""
    visits = begin(150)
    held = visits[:8]
    with _pages_of(stack, visits) as pages, psycopg.connect(stack.database_url) as other:
        other.execute("SELECT FROM payments_transaction WHERE id = ANY(%s) FOR NO KEY UPDATE", [[v.id for v in held]])
        with callbacks(held, rate=RATE) as waiting, callbacks(visits[8:], rate=RATE) as load:
            _wait_until_held_up(stack, "web-1", "web-2")
            stack.workers[0].kill()
            time.sleep(1)
            other.rollback()
        load.visits[:0] = waiting.visits
        load.refused += waiting.refused
        _all_is_well(stack, load, pages)
        assert pages.late(_watched(visits)) < CONVERGED_WITHIN
    stack.workers[0].start()


def _wait_until_held_up(stack: Stack, *workers: str) -> None:
    """Wait until each of these has two connections that wait for a lock; they give up after 5 s (`lock_timeout`)."""
    query = "SELECT application_name, count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' GROUP BY 1"
    give_up = time.monotonic() + HELD_UP_WITHIN
    with psycopg.connect(stack.database_url, autocommit=True) as looking:
        while any((found := dict(looking.execute(query).fetchall())).get(name, 0) < 2 for name in workers):
            assert time.monotonic() < give_up, f"held up: {found}"
            time.sleep(0.02)


def _kill_redis(stack: Stack) -> None:
    stack.redis.end(signal.SIGKILL)
    time.sleep(AWAY)
    stack.redis.start()


def _stall_redis(stack: Stack) -> None:
    with stack.redis.stalled():
        time.sleep(AWAY)


@pytest.mark.parametrize("take_away", [_kill_redis, _stall_redis])
def test_redis_is_away_for_twenty_seconds(stack: Stack, begin: Begin, take_away: Callable[[Stack], None]) -> None:
    visits = begin(650)
    with _pages_of(stack, visits) as pages:
        with callbacks(visits, rate=RATE / 2, all_of_them=False) as load:
            time.sleep(1)
            take_away(stack)
            time.sleep(1)
        assert load.rate > 0.9 * RATE / 2
        _all_is_well(stack, load, pages)
        assert pages.late(_watched(load.visits)) < CONVERGED_WITHIN  # also while Redis was away


def _wait_until_ready(stack: Stack) -> None:
    """Wait until nothing is missing any more, what was spooled included."""
    give_up = time.monotonic() + READY_WITHIN
    while (answer := Shop(stack.base_url).get("/readyz")).status_code != 200:
        assert time.monotonic() < give_up, answer.text
        time.sleep(0.1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_postgresql_restarts(stack: Stack, begin: Begin, how: signal.Signals) -> None:
    visits = begin(300)
    with _pages_of(stack, visits) as pages:
        with callbacks(visits, rate=RATE) as load:
            time.sleep(1)
            stack.postgresql.end(how)
            stack.postgresql.start()
            back_at = time.monotonic()
            while Shop(stack.base_url).get("/api/products/").status_code != 200:
                time.sleep(0.05)
            assert time.monotonic() - back_at < CONVERGED_WITHIN
            _wait_until_ready(stack)
            ready_at = time.monotonic()
        _all_is_well(stack, load, pages)
        for visit in _watched(visits):  # those that were spooled are replayed before the shop is ready
            assert pages.completed[visit.id] - max(visit.answered_at, ready_at) < CONVERGED_WITHIN
