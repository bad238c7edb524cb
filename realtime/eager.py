"""Run a coroutine at once, and make a task of it only when it has to wait.

Most frames leave without waiting for anybody, and a task for each of them costs more than the frame. Python 3.12 has
this as `Task(…, eager_start=True)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


def run_now(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run `work` up to where it first waits; return None when it ended before that, else the task that goes on.

    Up to there it runs in the caller's task: it must not ask which one that is, as `asyncio.timeout` does.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_GoesOn(work, awaited))


class _GoesOn(Coroutine[Any, Any, None]):
    """`work`, begun by somebody else and waiting for `awaited`, for a task to take over."""

    def __init__(self, work: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._work = work
        self._awaited = [awaited]  # until the task has been told

    def send(self, value: Any) -> Any:
        return self._awaited.pop() if self._awaited else self._work.send(value)

    def throw(self, *error: Any) -> Any:
        self._awaited.clear()
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError("only for a task")
