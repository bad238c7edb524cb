"""The simulation of docs/scaling.md agrees with what queueing theory knows, and its shop with common sense."""

from __future__ import annotations

import math
import random
from itertools import accumulate

import pytest

from bench.simulation import Shop, Simulation, Station, Steps

STEPS = Steps(opening=0.001, callback=0.004, heartbeat=0.0001, tailer=0.001, commit=0.0005, publish=0.0001)


def mean_response(servers: int, load: float, jobs: int = 60_000) -> float:
    """Return how long a job takes on average, waiting included, where each is served in a second on average."""
    chance, station = random.Random(7), Station(servers)
    moments = accumulate(chance.expovariate(load * servers) for _ in range(jobs))
    return sum(station.finish(moment, chance.expovariate(1)) - moment for moment in moments) / jobs


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7])
def test_one_server_is_as_slow_as_theory_says(load: float) -> None:
    assert mean_response(1, load) == pytest.approx(1 / (1 - load), rel=0.06)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.5), (4, 0.7), (16, 0.8)])
def test_several_servers_are_as_slow_as_erlang_says(servers: int, load: float) -> None:
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    waits = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    assert mean_response(servers, load) == pytest.approx(1 + waits / (servers * (1 - load)), rel=0.06)


def test_every_part_is_as_busy_as_its_work_makes_it() -> None:
    customers, wait, shop = 3000, 60.0, Shop(workers=2, cores=2)
    busy = Simulation(shop, STEPS, customers=customers, wait=wait).run(60).busy
    rate = customers / wait
    beats, tailer = customers / 15 * STEPS.heartbeat, 2 * STEPS.tailer
    assert busy["workers"] == pytest.approx((rate * (STEPS.opening + STEPS.callback) + beats + tailer) / 2, rel=0.05)
    assert busy["PostgreSQL"] == pytest.approx(rate * 2 * STEPS.commit / 2, rel=0.05)
    assert busy["Redis"] == pytest.approx(rate * STEPS.publish, rel=0.1)


def test_alone_a_callback_takes_what_its_steps_take() -> None:
    outcome = Simulation(Shop(workers=1, cores=1), STEPS, customers=60, wait=60).run(2000)
    steps = STEPS.callback + 2 * STEPS.commit + STEPS.publish
    assert sum(outcome.frames) / len(outcome.frames) == pytest.approx(steps, rel=0.05)


def test_a_shop_that_grows_with_its_customers_stays_as_quick() -> None:
    one = Simulation(Shop(workers=1, cores=1), STEPS, customers=6000, wait=60).run(60)
    ten = Simulation(Shop(workers=10, cores=10), STEPS, customers=60_000, wait=60).run(20)
    assert ten.percentile(0.5) == pytest.approx(one.percentile(0.5), rel=0.15)
    assert ten.percentile(0.99) < one.percentile(0.99) * 1.2


@pytest.mark.parametrize(
    ("shop", "steps"),
    [
        (Shop(workers=1, cores=8), STEPS),
        (Shop(workers=8, cores=1), Steps(**{**vars(STEPS), "commit": 0.004})),
        (Shop(workers=8, cores=8), Steps(**{**vars(STEPS), "publish": 0.006})),
    ],
    ids=["workers", "PostgreSQL", "Redis"],
)
def test_what_is_too_small_is_seen(shop: Shop, steps: Steps) -> None:
    outcome = Simulation(shop, steps, customers=18_000, wait=60).run(20)
    assert not outcome.is_stable
    assert outcome.percentile(0.5) > 1


def test_a_seed_repeats_a_run() -> None:
    first, again, other = (
        Simulation(Shop(workers=2, cores=2), STEPS, customers=1000, wait=60, seed=seed).run(20).frames
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_where_nobody_is_told_it_takes_for_ever() -> None:
    slow = Steps(**{**vars(STEPS), "opening": 0.1})
    outcome = Simulation(Shop(workers=1, cores=1), slow, customers=60_000, wait=60).run(2)
    assert outcome.percentile(0.5) == math.inf
