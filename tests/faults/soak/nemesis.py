"""Something breaks every few minutes, one after the other, and heals."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from tests.faults.rig.history import History
from tests.faults.rig.proxy import Mode, Proxy
from tests.faults.soak.crowd import Crowd
from tests.production.stack import Stack

DARAJA_AWAY, REDIS_AWAY = 15.0, 3.0  # seconds
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Nemesis:
    """Breaks one thing every so many seconds while it is at work; `done` counts what it did."""

    def __init__(self, stack: Stack, daraja: Proxy, crowd: Crowd, history: History, *, seed: int) -> None:
        self._stack, self._daraja, self._crowd, self._history = stack, daraja, crowd, history
        self._dice = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.stumbled: list[str] = []

    @contextmanager
    def at_work(self, *, every: float, is_warm_up: bool = False) -> Iterator[None]:
        """Break something every so many seconds; the end waits until the last thing has healed.

        In the warm-up both workers stay as old as the load, and keep their sessions: a thread replaces a terminated one
        only when it is needed again, so that what is at rest would look smaller than it is.
        """
        is_over = threading.Event()
        thread = threading.Thread(target=self._run, args=(is_over, every, is_warm_up), name="nemesis", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _run(self, is_over: threading.Event, every: float, is_warm_up: bool) -> None:
        faults: dict[str, Callable[[], None]] = {
            "Redis restarted, away for 3 s": self._restart_redis,
            "Daraja cut off for 15 s": self._cut_daraja_off,
            "every open page's connection reset": self._crowd.reset_pages,
        }
        if not is_warm_up:
            faults["one worker restarted (SIGTERM)"] = self._restart_worker
            faults["all sessions of PostgreSQL terminated"] = self._terminate_sessions
        names = self._dice.sample([*faults], len(faults))
        for name in itertools.cycle(names):
            if is_over.wait(every):
                return
            self._history.note("nemesis", "breaks", what=name)
            try:
                faults[name]()
            except Exception as error:
                self.stumbled.append(f"{name}: {type(error).__name__}: {error}")
            self._history.note("nemesis", "healed", what=name)
            self.done[name] += 1

    def _restart_worker(self) -> None:
        """Restart the second; the first is never restarted, so that it grows for the whole hour if it grows."""
        self._stack.workers[1].restart()

    def _restart_redis(self) -> None:
        self._stack.redis.end()
        time.sleep(REDIS_AWAY)
        self._stack.redis.start()

    def _terminate_sessions(self) -> None:
        with psycopg.connect(self._stack.settings["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(TERMINATE)

    def _cut_daraja_off(self) -> None:
        self._daraja.become(Mode.RESET)
        time.sleep(DARAJA_AWAY)
        self._daraja.become(Mode.PASS)
