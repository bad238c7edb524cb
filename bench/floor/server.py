"""The floor of a shop on PostgreSQL and Redis: one durable UPDATE … RETURNING, one PUBLISH, one frame."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import redis.asyncio
from psycopg_pool import AsyncConnectionPool

from bench.floor.sockets import accept, body_of, payment_in, push, receipt_in, watch

UPDATE = "UPDATE payment SET status = 'COMPLETED', receipt = %s WHERE id = %s AND status = 'PENDING' RETURNING status"
CHANNEL = "floor."

pool = AsyncConnectionPool(os.environ["DATABASE_URL"], kwargs={"autocommit": True}, min_size=4, max_size=20, open=False)
publisher = redis.asyncio.from_url(os.environ["REDIS_URL"])
_tasks: set[asyncio.Task[None]] = set()  # one that nobody refers to may be collected


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await _confirm(payment_in(scope["path"]), await body_of(receive))
        await accept(send)
    elif scope["type"] == "websocket":
        await watch(payment_in(scope["path"]), receive, send)
    else:
        await _live(receive, send)


async def _confirm(payment_id: str, body: bytes) -> None:
    async with pool.connection() as connection:
        changed = await (await connection.execute(UPDATE, [receipt_in(body), payment_id])).fetchone()
    if changed:
        await publisher.publish(CHANNEL + payment_id, b"")


async def _live(receive: Any, send: Any) -> None:
    await receive()
    await pool.open(wait=True)
    subscriber = redis.asyncio.from_url(os.environ["REDIS_URL"], socket_timeout=None).pubsub()
    await subscriber.psubscribe(CHANNEL + "*")
    _tasks.add(asyncio.create_task(_listen(subscriber)))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    for task in _tasks:
        task.cancel()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _listen(subscriber: Any) -> None:
    async for message in subscriber.listen():
        if message["type"] == "pmessage":
            await push(message["channel"].decode().removeprefix(CHANNEL))
