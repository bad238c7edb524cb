"""A shop under load, event by event: queues at every worker, at PostgreSQL's cores and at Redis.

Customers come at random (Poisson), each opens a socket, and after a while has a callback. A worker is one core, which
does one thing after the other: openings, both halves of a callback, heartbeats, its tailer. Between the halves a
callback commits twice in PostgreSQL and passes Redis; its frame leaves the worker that holds the socket, which may be
another. How long each step takes is drawn around its mean, exponentially: rather worse than what was measured.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HEARTBEAT_SECONDS = 15
TAILER_SECONDS = 1
COMMITS = 2  # transactions of a callback: the inbox, then payment, event and order together
SHARE_OF_PUSH = 0.2  # of a callback's CPU on the worker, that is spent where the socket is: an assumption
WARMING = 0.2  # of the simulated time, that counts for nothing


@dataclass(frozen=True)
class Steps:
    """Mean seconds of CPU: of a worker for each thing it does, of PostgreSQL for a commit, of Redis for a push."""

    opening: float
    callback: float
    heartbeat: float
    tailer: float
    commit: float
    publish: float


@dataclass(frozen=True)
class Shop:
    """What is built: `cores` are PostgreSQL's, and `redis` is how many hosts share the groups."""

    workers: int
    cores: int
    redis: int = 1


@dataclass
class Outcome:
    """Seconds from callback to frame of each customer who was told; `busy`: the share of its time each part works."""

    frames: list[float] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)

    @property
    def is_stable(self) -> bool:
        return max(self.busy.values()) < 1

    def percentile(self, share: float) -> float:
        """Return the seconds that `share` (0–1) of the frames do not exceed; infinite where none has come."""
        if not self.frames:
            return math.inf
        return sorted(self.frames)[min(len(self.frames) - 1, int(share * len(self.frames)))]


class Station:
    """Servers that take whoever has waited longest; events come in the order of their time."""

    def __init__(self, servers: int) -> None:
        self._free_at = [0.0] * servers  # a heap
        self.worked = 0.0  # server-seconds, whenever they end

    def finish(self, now: float, seconds: float) -> float:
        """Return when somebody who comes now and takes so many seconds has been served."""
        ends_at = max(now, self._free_at[0]) + seconds
        heapq.heapreplace(self._free_at, ends_at)
        self.worked += seconds
        return ends_at

    def busy(self, seconds: float) -> float:
        return self.worked / (seconds * len(self._free_at))


Event = Callable[[float], None]


class Simulation:
    """One run. `customers` wait at any time, each `wait` seconds on average."""

    def __init__(self, shop: Shop, steps: Steps, *, customers: int, wait: float, seed: int = 1) -> None:
        self._shop, self._steps, self._customers, self._rate = shop, steps, customers, customers / wait
        self._chance = random.Random(seed)
        self._workers = [Station(1) for _ in range(shop.workers)]
        self._postgresql = Station(shop.cores)
        self._redis = [Station(1) for _ in range(shop.redis)]
        self._agenda: list[tuple[float, int, Event]] = []
        self._number = itertools.count()
        self._outcome = Outcome()
        self._counts_from = 0.0

    def run(self, seconds: float) -> Outcome:
        """Return what happened in so many simulated seconds, the first of which warm it up."""
        self._counts_from = seconds * WARMING
        for moments, event in self._causes():
            self._at(next(moments), self._repeated(moments, event))
        while self._agenda and self._agenda[0][0] < seconds:
            now, _, event = heapq.heappop(self._agenda)
            event(now)
        self._outcome.busy = {
            "workers": sum(worker.busy(seconds) for worker in self._workers) / len(self._workers),
            "PostgreSQL": self._postgresql.busy(seconds),
            "Redis": sum(host.busy(seconds) for host in self._redis) / len(self._redis),
        }
        return self._outcome

    def _causes(self) -> list[tuple[Iterator[float], Event]]:
        """Return what comes from outside: when, and what it begins.

        Who leaves a crowd of Poisson arrivals leaves it as a Poisson process too, however long each has waited.
        """
        beats = self._customers / HEARTBEAT_SECONDS
        return [
            (self._poisson(self._rate), self._open),
            (self._poisson(self._rate), self._take_callback),
            (self._poisson(beats), self._beat),
            *((self._every(TAILER_SECONDS), self._tail(worker)) for worker in self._workers),
        ]

    def _poisson(self, rate: float) -> Iterator[float]:
        moment = 0.0
        while True:
            moment += self._chance.expovariate(rate)
            yield moment

    def _every(self, seconds: float) -> Iterator[float]:
        return itertools.count(self._chance.uniform(0, seconds), seconds)

    def _repeated(self, moments: Iterator[float], event: Event) -> Event:
        def happen(now: float) -> None:
            event(now)
            self._at(next(moments), happen)

        return happen

    def _at(self, moment: float, event: Event) -> None:
        heapq.heappush(self._agenda, (moment, next(self._number), event))

    def _seconds(self, mean: float) -> float:
        return self._chance.expovariate(1 / mean) if mean else 0.0

    def _worker(self) -> Station:
        return self._workers[self._chance.randrange(len(self._workers))]

    # What happens

    def _open(self, now: float) -> None:
        self._worker().finish(now, self._seconds(self._steps.opening))

    def _beat(self, now: float) -> None:
        self._worker().finish(now, self._seconds(self._steps.heartbeat))

    def _tail(self, worker: Station) -> Event:
        def tail(now: float) -> None:
            worker.finish(now, self._seconds(self._steps.tailer))

        return tail

    def _take_callback(self, came_at: float) -> None:
        """Let a callback pass its stations, each at the moment that the one before has done with it."""
        worker, share = self._worker(), (1 - SHARE_OF_PUSH) / (COMMITS + 1)
        stations = [(worker, self._steps.callback * share)]
        for _ in range(COMMITS):
            stations += [(self._postgresql, self._steps.commit), (worker, self._steps.callback * share)]
        host = self._redis[self._chance.randrange(len(self._redis))]
        stations += [(host, self._steps.publish), (self._worker(), self._steps.callback * SHARE_OF_PUSH)]
        self._pass(came_at, iter(stations), came_at)

    def _pass(self, now: float, stations: Iterator[tuple[Station, float]], came_at: float) -> None:
        station, mean = next(stations, (None, 0.0))
        if station is None:
            if came_at >= self._counts_from:
                self._outcome.frames.append(now - came_at)
            return
        self._at(station.finish(now, self._seconds(mean)), lambda then: self._pass(then, stations, came_at))
