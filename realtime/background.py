"""What runs beside the requests of a server process; Daphne has no lifespan, so the first scope starts it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading

from payments import deliveries, reconciler
from realtime import beats, broadcast, tailer
from realtime.board import alarms

STOP_SECONDS = 3.0  # how long the end of the process waits for a reconciler pass

_loop: asyncio.AbstractEventLoop | None = None
_tasks: list[asyncio.Task[None]] = []  # the tailer, and what this process says of itself
_reconciler: threading.Thread | None = None
_stop = threading.Event()


def start() -> None:
    """Bind this loop as the server's, and start the tailer on it and the reconciler beside it; once, then free."""
    loop = asyncio.get_running_loop()
    if loop is not _loop:
        _bind(loop)


def task_count() -> int:
    """Return the unfinished tasks of the server's loop: sockets, requests and what runs beside them."""
    return len(asyncio.all_tasks(_loop)) if _loop is not None else 0


def _bind(loop: asyncio.AbstractEventLoop) -> None:
    """Take over as the server's loop; a later loop (a test's, a reloaded server's) replaces an earlier one."""
    global _loop, _tasks
    _end_tasks()
    broadcast.bind_server_loop(loop)
    _loop, _tasks = loop, [loop.create_task(tailer.run()), loop.create_task(beats.run())]
    _start_reconciler()


def _end_tasks() -> None:
    if _loop is not None and not _loop.is_closed():
        for task in _tasks:
            _loop.call_soon_threadsafe(task.cancel)


def _start_reconciler() -> None:
    global _reconciler
    if _reconciler is not None and _reconciler.is_alive():
        return
    _stop.clear()
    _reconciler = threading.Thread(target=reconciler.run_forever, args=(_stop,), name="reconciler", daemon=True)
    _reconciler.start()
    alarms.watch(_stop)
    atexit.register(stop)


def stop() -> None:
    """End tailer and reconciler, and let go of the loop; the next `start` begins anew."""
    global _loop, _tasks
    _end_tasks()
    _stop.set()
    with contextlib.suppress(Exception):  # the database may be away, and nobody is left to be told
        beats.forget()
        deliveries.flush()
    _loop, _tasks = None, []
    broadcast.bind_server_loop(None)
    if _reconciler is not None:
        _reconciler.join(timeout=STOP_SECONDS)
