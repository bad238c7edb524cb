"""The server's surroundings for socket tests: a bound loop, a listener of its own, and a Redis that can be hurt."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis
from channels.layers import InMemoryChannelLayer, channel_layers
from django.utils.module_loading import import_string

import redis_layer
from realtime import broadcast, layer, listener, tailer
from tests.services import find_program, free_port


@pytest.fixture
async def server_loop(transactional_db: None) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Bind the test's loop as the server's; afterwards nobody listens and nothing is remembered."""
    loop = asyncio.get_running_loop()
    broadcast.bind_server_loop(loop)
    layer.forget_failures()
    yield loop
    broadcast.bind_server_loop(None)
    for sending in list(broadcast._in_flight):
        sending.cancel()
    layer.forget_failures()
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


class _Shared:
    """A layer in memory that is taken for one that other processes hear, too."""

    def __init__(self) -> None:
        self._true = InMemoryChannelLayer(capacity=1500)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._true, name)


@pytest.fixture
def shared_layer(server_loop: object) -> Iterator[Any]:
    """Use a layer that carries what leaves this process; its methods may be replaced."""
    fresh = _Shared()
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
    yield from _running()


def _running() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def second_redis_server() -> Iterator[RedisServer]:
    yield from _running()


@pytest.fixture(params=redis_layer.BACKENDS)
def layer_kind(request: pytest.FixtureRequest) -> str:
    """Each of the values of REDIS_LAYER; what uses it runs once with each."""
    return str(request.param)


def new_redis_layer(kind: str, *servers: RedisServer, secret: str = "test", **changes: Any) -> Any:
    """Return the layer that settings.py would make of these servers."""
    urls = [f"redis://127.0.0.1:{server.port}/0" for server in servers]
    made = redis_layer.layer(kind, urls, secret=secret)
    return import_string(made["BACKEND"])(**{**made["CONFIG"], **changes})


@pytest.fixture
async def on_redis(layer_kind: str, redis_server: RedisServer, server_loop: object) -> AsyncIterator[Any]:
    """Use the layer of settings.py on the test's own Redis."""
    async with using_redis(new_redis_layer(layer_kind, redis_server)) as fresh:
        yield fresh


@contextlib.asynccontextmanager
async def using_redis(fresh: Any) -> AsyncIterator[Any]:
    """Let everything use this layer, and let nothing of it stay."""
    with _used(fresh):
        yield fresh
    await _close_listener()
    with contextlib.suppress(Exception):
        await fresh.flush()
