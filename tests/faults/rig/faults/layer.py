"""Faults of Redis, which only hastens what the database knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.fault import SERVICES, Fault, mode
from tests.faults.rig.proxy import Mode


@contextmanager
def _flushed_redis(cluster: Cluster) -> Iterator[None]:
    client = redis.Redis.from_url(cluster.urls["REDIS_URL"])
    for _time in range(3):
        client.flushall()
        client.client_kill_filter(_type="pubsub")
        client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.7)
    yield


FAULTS = [
    Fault("F4a", "Redis flushed, its clients killed", _flushed_redis, needs=SERVICES),
    Fault("F4b", "Redis refuses for 5 s", mode("redis", Mode.RESET, 5), needs=SERVICES),
    Fault("F4c", "Redis stalled for 6 s", mode("redis", Mode.BLACKHOLE, 6), needs=SERVICES),
]  # fmt: skip
