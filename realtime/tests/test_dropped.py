"""What the channel layer does not carry is counted, by reason; its page learns of it all the same."""

from __future__ import annotations

import logging

import pytest

from payments.metrics import metrics_text
from realtime import layer
from realtime.breaker import FAILURES
from realtime.database import read
from realtime.tests.conftest import new_redis_layer, using_redis


async def _dropped() -> dict[str, float]:
    lines = (await read(metrics_text)).decode().splitlines()
    return {
        why: float(line.rsplit(" ", 1)[1])
        for why in ("skipped", "failed", "full")
        for line in lines
        if line.startswith(f'papo_layer_dropped_total{{why="{why}"}}')
    }


async def _more_than(before: dict[str, float]) -> dict[str, float]:
    return {why: count - before[why] for why, count in (await _dropped()).items() if count != before[why]}


@pytest.mark.usefixtures("server_loop")
async def test_messages_that_fail_and_those_that_are_not_even_tried(in_memory):
    async def refuses(*args):
        raise ConnectionError("away")

    before = await _dropped()
    in_memory.group_send = refuses
    assert not any([await layer.send("payment.x", {"type": "payment.changed"}) for _ in range(FAILURES + 2)])
    assert await _more_than(before) == {"failed": FAILURES, "skipped": 2}


@pytest.mark.usefixtures("server_loop")
async def test_messages_beyond_the_capacity_of_a_process_that_does_not_keep_up(redis_server):
    async with using_redis(new_redis_layer("queue", redis_server, capacity=3)) as queues:
        await queues.group_add("payment.x", layer.channel_name(queues))  # nobody reads it
        before = await _dropped()
        assert all([await layer.send("payment.x", {"type": "payment.changed"}) for _ in range(5)])
    assert await _more_than(before) == {"full": 2}


def test_what_channels_redis_says_stays_quiet(capfd):
    logging.getLogger("channels_redis.core").error("a traceback a second while Redis is away")
    assert capfd.readouterr() == ("", "")
