"""Faults of Redis, which only hastens what the database knows."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.faults.rig.cluster import Cluster, wait_until_alive
from tests.faults.rig.faults.fault import SERVICES, Fault, Injection, mode
from tests.faults.rig.proxy import Mode


def _client(cluster: Cluster) -> redis.Redis:
    return redis.Redis.from_url(cluster.urls["REDIS_URL"])


@contextmanager
def _flushed(cluster: Cluster) -> Iterator[None]:
    for _time in range(3):
        _client(cluster).flushall()
        time.sleep(0.7)
    yield


@contextmanager
def _clients_killed(cluster: Cluster) -> Iterator[None]:
    client = _client(cluster)
    for _time in range(3):
        client.client_kill_filter(_type="pubsub")
        client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.7)
    yield


def _stopped(seconds: float) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        assert cluster.machines.redis
        cluster.machines.redis.end()
        time.sleep(seconds)
        cluster.machines.redis.start()
        yield

    return inject


def _frozen(seconds: float) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        assert cluster.machines.redis
        os.kill(cluster.machines.redis.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
            yield
        finally:
            os.kill(cluster.machines.redis.pid, signal.SIGCONT)

    return inject


def _without_memory(policy: str) -> Injection:
    @contextmanager
    def inject(cluster: Cluster) -> Iterator[None]:
        client = _client(cluster)
        before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
        try:
            client.config_set("maxmemory-policy", policy)
            client.config_set("maxmemory", "1mb")  # less than it needs for itself
            time.sleep(6)
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)

    return inject


def _take_redis_away(cluster: Cluster) -> None:
    assert cluster.machines.redis
    cluster.machines.redis.end()
    cluster.repairs.callback(cluster.machines.redis.start)
    for worker in cluster.workers:
        worker.stop()
        worker.start(wait=False)
        wait_until_alive(worker)  # ready it will not be: Redis is one of the things that /readyz names


@contextmanager
def _stays_away(cluster: Cluster) -> Iterator[None]:
    """Heal nothing: the verdict comes while Redis is still away."""
    time.sleep(1)
    yield


FAULTS = [
    Fault("F4a", "Redis flushed three times", _flushed, needs=SERVICES),
    Fault("F4b", "Redis's clients killed three times", _clients_killed, needs=SERVICES),
    Fault("F4c", "Redis refuses for 5 s", mode("redis", Mode.RESET, 5), needs=SERVICES),
    Fault("F4d", "Redis stalled by its network for 6 s", mode("redis", Mode.BLACKHOLE, 6), needs=SERVICES),
    Fault("F4e", "Redis stopped and started again", _stopped(0), needs=SERVICES),
    Fault("F4f", "Redis stopped for 15 s", _stopped(15), needs=SERVICES, is_long=True),
    Fault("F4g", "Redis frozen for 20 s", _frozen(20), needs=SERVICES, is_long=True),
    Fault("F4h", "Redis without memory, refusing writes", _without_memory("noeviction"), needs=SERVICES),
    Fault("F4i", "Redis without memory, evicting", _without_memory("allkeys-lru"), needs=SERVICES),
    Fault("F5", "Redis never there", _stays_away, needs=SERVICES, arm=_take_redis_away),
]  # fmt: skip
