"""A TCP proxy that misbehaves on demand: the network between two parts of Papo."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

CONNECT_WITHIN = 2.0  # seconds
LONGEST_DELAY = 0.25  # seconds a chunk, while slow


class Mode(StrEnum):
    PASS = "pass"
    SLOW = "slow"  # every chunk comes late
    SLICED = "sliced"  # a few bytes at a time
    BLACKHOLE = "blackhole"  # nothing comes through, and nothing is closed, until it is over
    HALF_OPEN = "half-open"  # as blackhole, and connections of that time stay dead for ever
    RESET = "reset"  # what is open is torn down, what comes is torn down at once
    NO_ANSWERS = "no answers"  # requests arrive, their answers are cut off


class _Connection:
    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.is_dead = False

    def abort(self) -> None:
        for writer in self.writers:
            with suppress(Exception):
                writer.transport.abort()


class Proxy:
    """Listens on `port` and passes on to one of `upstreams`, the next one where one refuses."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstreams: list[int], seed: int) -> None:
        self.loop, self.upstreams, self.dice = loop, upstreams, random.Random(seed)
        self.mode = Mode.PASS
        self.port = 0
        self._server: asyncio.Server | None = None
        self._socket_answer: Callable[[bytes], bytes | None] | None = None
        self._turn = itertools.count()
        self._connections: set[_Connection] = set()
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Let nobody come in any more; from the loop's own thread."""
        if self._server is not None:
            self._server.close()

    def become(self, mode: Mode) -> None:
        """Change how the network behaves, from any thread."""
        asyncio.run_coroutine_threadsafe(self._become(mode), self.loop).result(timeout=5)

    async def _become(self, mode: Mode) -> None:
        self.mode = mode
        if mode == Mode.RESET:
            self._abort_all()
        if mode == Mode.HALF_OPEN:
            self._orphan_all()
        self._changed.set()
        self._changed = asyncio.Event()

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    def _orphan_all(self) -> None:
        for connection in self._connections:
            connection.is_dead = True

    def orphan(self) -> None:
        """Let nothing come through what is open, for ever and without a word; what comes now passes."""
        self.loop.call_soon_threadsafe(self._orphan_all)

    def cut(self) -> None:
        """Tear down what is open, once."""
        self.loop.call_soon_threadsafe(self._abort_all)

    def answer_sockets(self, answer: Callable[[bytes], bytes | None] | None) -> None:
        """Answer what asks for a WebSocket ourselves, from the request, and hang up; never at all where it says None.

        Sockets that are open are torn down first, and those left hanging when this ends.
        """
        self._socket_answer = answer
        self.loop.call_soon_threadsafe(self._abort_all)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = None if self.mode == Mode.RESET else await self._reach_upstream()
        if upstream is None:
            writer.transport.abort()
            return
        connection = _Connection(writer, upstream[1])
        connection.is_dead = self.mode == Mode.HALF_OPEN
        self._connections.add(connection)
        with suppress(OSError, asyncio.CancelledError):
            forth = self._pump(reader, upstream[1], connection, is_answer=False)
            await asyncio.gather(forth, self._pump(upstream[0], writer, connection, is_answer=True))
        connection.abort()
        self._connections.discard(connection)

    async def _reach_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        turn = next(self._turn)
        for offset in range(len(self.upstreams)):
            port = self.upstreams[(turn + offset) % len(self.upstreams)]
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_WITHIN):
                    return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection, *, is_answer: bool
    ) -> None:
        while data := await reader.read(65_536):
            if not is_answer and self._socket_answer and data.startswith(b"GET /ws/"):
                await self._answer_socket(self._socket_answer(data), connection)
                return
            while self.mode in {Mode.BLACKHOLE, Mode.HALF_OPEN} or connection.is_dead:
                await self._changed.wait()
            if self.mode == Mode.NO_ANSWERS and is_answer:
                connection.abort()
                return
            await self._pass_on(data, writer)
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _answer_socket(self, answer: bytes | None, connection: _Connection) -> None:
        client = connection.writers[0]
        if answer is None:
            await asyncio.Event().wait()  # until the connection is torn down
        client.write(answer or b"")
        with suppress(OSError):
            await client.drain()
            await asyncio.sleep(0.1)  # to be heard before the end
        connection.abort()

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.mode == Mode.SLOW:
            await asyncio.sleep(self.dice.uniform(0, LONGEST_DELAY))
        pieces = self._slices(data) if self.mode == Mode.SLICED else [data]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    def _slices(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = self.dice.randint(1, 40)
            yield data[at : at + size]
            at += size


class Network:
    """The loop on which all proxies and pages of a run live, in a thread of its own."""

    def __init__(self, seed: int) -> None:
        self.loop, self.seed = asyncio.new_event_loop(), seed
        self._proxies: list[Proxy] = []

    def proxy(self, *upstreams: int) -> Proxy:
        proxy = Proxy(self.loop, [*upstreams], self.seed)
        asyncio.run_coroutine_threadsafe(proxy.listen(), self.loop).result(timeout=5)
        self._proxies.append(proxy)
        return proxy

    async def end(self) -> None:
        """End everything that runs on the loop, and let nothing begin on it."""
        for proxy in self._proxies:
            proxy.stop_listening()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def running_network(seed: int) -> Iterator[Network]:
    network = Network(seed)
    thread = threading.Thread(target=network.loop.run_forever, name="network", daemon=True)
    thread.start()
    try:
        yield network
    finally:
        asyncio.run_coroutine_threadsafe(network.end(), network.loop).result(timeout=10)
        network.loop.call_soon_threadsafe(network.loop.stop)
        thread.join(timeout=5)
        network.loop.close()
