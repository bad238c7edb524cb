"""How messages travel through Redis: the configuration of either of channels_redis' two layers, for settings and tests.

Both are bounded alike. What is lost on the way is found by the tailer, whichever carries it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

BACKENDS = {
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "queue": "channels_redis.core.RedisChannelLayer",
}
CAPACITY = 1500  # messages that wait for one process; beyond it new ones are dropped, and counted
GROUP_SECONDS = 60  # a group forgets who has not joined again for so long; the living join every 15 s


def layer(kind: str, urls: Sequence[str], *, secret: str) -> dict[str, Any]:
    """Return the entry of CHANNEL_LAYERS for a layer of this `kind` over these hosts.

    `secret`: the deployment's own; two deployments on one Redis must not hear each other.
    """
    config: dict[str, Any] = {
        "hosts": [_host(url) for url in urls],
        "prefix": f"papo.{hashlib.sha256(secret.encode()).hexdigest()[:12]}",
    }
    if kind == "queue":
        # A process that died would be sent messages for a day otherwise.
        config |= {"capacity": CAPACITY, "group_expiry": GROUP_SECONDS}
    return {"BACKEND": BACKENDS[kind], "CONFIG": config}


def _host(url: str) -> dict[str, Any]:
    return {
        "address": url,
        # redis-py 8 defaults to 5 s, which is the layer's own blocking read: idle sockets would die.
        "socket_timeout": 15,
        "socket_connect_timeout": 2,
        # A pooled connection to a Redis that has restarted fails once.
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.02), 3),
    }
