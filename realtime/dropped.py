"""What the channel layer did not carry. Every one of these changes reaches its page all the same, by the tailer."""

from __future__ import annotations

import logging

from prometheus_client import Counter

SKIPPED = "skipped"  # not tried: the layer is known to be away
FAILED = "failed"  # no answer within the second, or an error
FULL = "full"  # a process is so far behind that its queue takes no more

_dropped = Counter(
    "papo_layer_dropped",
    "Messages of this process that the channel layer did not carry: `skipped`, `failed`, or `full` queues",
    ["why"],
    registry=None,
)
for _why in (SKIPPED, FAILED, FULL):
    _dropped.labels(_why)  # shown as 0 from the start: an increase needs something to begin at
collect = _dropped.collect


def count_dropped(why: str, number: int = 1) -> None:
    """Count messages that were lost, for one of the three reasons above."""
    _dropped.labels(why).inc(number)


class _FullQueues(logging.Handler):
    """Counts what RedisChannelLayer drops: it says so in its log and nowhere else."""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, str) and "over capacity" in record.msg and isinstance(record.args, tuple):
            count_dropped(FULL, int(str(record.args[0])))


_full_queues = _FullQueues()


def listen_for_full_queues() -> None:
    """Count what channels_redis says it drops; its other lines stay as quiet as logs.py has them."""
    logger = logging.getLogger("channels_redis.core")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(_full_queues)
