"""The server's surroundings for socket tests: a bound loop, a listener of its own, and a Redis that can be hurt."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from channels.layers import InMemoryChannelLayer, channel_layers
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from realtime import broadcast, layer, listener, tailer
from tests.services import find_program, free_port


@pytest.fixture
async def server_loop(transactional_db: None) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Bind the test's loop as the server's; afterwards nobody listens and nothing is remembered."""
    loop = asyncio.get_running_loop()
    broadcast.bind_server_loop(loop)
    layer.breaker.reset()
    yield loop
    broadcast.bind_server_loop(None)
    for sending in list(broadcast._in_flight):
        sending.cancel()
    layer.breaker.reset()
    await _close_listener()


async def _close_listener() -> None:
    if listener._listener is not None:
        await listener._listener.close()
        listener._listener = None


@contextlib.contextmanager
def _used(fresh: object) -> Iterator[None]:
    before = channel_layers.set("default", fresh)
    yield
    channel_layers.backends.pop("default")
    if before is not None:  # None: nobody has needed it yet
        channel_layers.set("default", before)


@pytest.fixture
def in_memory(server_loop: object) -> Iterator[InMemoryChannelLayer]:
    """Use a fresh in-memory layer, also where the suite runs with Redis."""
    fresh = InMemoryChannelLayer(capacity=1500)
    with _used(fresh):
        yield fresh


@pytest.fixture
async def running_tailer(server_loop: asyncio.AbstractEventLoop) -> AsyncIterator[None]:
    task = server_loop.create_task(tailer.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class RedisServer:
    """A Redis of the test's own, on one port however often it is killed and started."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [find_program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/tmp")
        while not self._answers():
            time.sleep(0.02)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), redis.Redis(port=self.port) as client:
            return client.ping()
        return False

    def call(self, *command: str) -> None:
        with redis.Redis(port=self.port) as client:
            client.execute_command(*command)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stall(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def redis_layer(redis_server: RedisServer, server_loop: object) -> AsyncIterator[RedisPubSubChannelLayer]:
    """Use the layer of settings.py on the test's own Redis."""
    host = {
        "address": f"redis://127.0.0.1:{redis_server.port}/0",
        "socket_timeout": 15,
        "socket_connect_timeout": 2,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.02), 3),
    }
    fresh = RedisPubSubChannelLayer(hosts=[host], prefix="papo.test")
    with _used(fresh):
        yield fresh
    if listener._listener is not None:
        await listener._listener.close()
        listener._listener = None
    with contextlib.suppress(Exception):
        await fresh.flush()
