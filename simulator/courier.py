"""Deliver the callbacks and end the unanswered prompts: a few threads of the server process, over the record.

Every callback is posted once and never again, as Daraja does it: it is marked before it goes out, so that no second
thread or process sends it, nor this one after a crash. What waits in the record outlives the process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field

from simulator import posts, record, settling

THREADS = 4  # so that a slow shop holds up its own callback and no other
LONGEST_SLEEP = 5.0  # seconds, until what another process left behind is seen
PAUSE_AFTER_ERROR = 1.0  # seconds

log = logging.getLogger("simulator")


@dataclass
class _Crew:
    """The threads of this process; `calls` counts the reasons to look again, so that none is slept through."""

    process_id: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    calls: int = 0
    is_stopping: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)


_crew = _Crew()


def wake() -> None:
    """Have the threads look at the record again, and start them if they do not run in this process yet."""
    with _crew.changed:
        if _crew.process_id != os.getpid() or not _crew.threads:
            _start()
        _crew.calls += 1
        _crew.changed.notify_all()


def wake_if_needed() -> None:
    """Start the threads when an earlier process left something to do."""
    if record.exists() and next_due() is not None:
        wake()


def stop(timeout: float = posts.TIMEOUT) -> None:
    """End the threads, each after what it is at; the record keeps the rest."""
    with _crew.changed:
        threads, _crew.threads, _crew.is_stopping = _crew.threads, [], True
        _crew.changed.notify_all()
    for thread in threads:
        thread.join(timeout)


def _start() -> None:
    _crew.process_id, _crew.is_stopping = os.getpid(), False
    _crew.threads = [
        threading.Thread(target=_work, name=f"simulator-courier-{number}", daemon=True) for number in range(THREADS)
    ]
    for thread in _crew.threads:
        thread.start()


def _work() -> None:
    while not _crew.is_stopping:
        calls = _crew.calls
        try:
            pause = 0.0 if step() else _pause()
        except Exception:
            log.exception("the courier stumbled")
            pause = PAUSE_AFTER_ERROR
        _sleep(pause, calls)


def _sleep(pause: float, calls: int) -> None:
    with _crew.changed:
        _crew.changed.wait_for(lambda: _crew.is_stopping or _crew.calls != calls, timeout=pause)


def _pause() -> float:
    due_at = next_due()
    return LONGEST_SLEEP if due_at is None else min(max(due_at - time.time(), 0.001), LONGEST_SLEEP)


def next_due() -> float | None:
    """Return when the next thing has to be done, None when nothing waits."""
    query = (
        "SELECT min(at) AS at FROM (SELECT min(due_at) AS at FROM deliveries WHERE state = 'waiting' "
        "UNION ALL SELECT min(due_at) FROM posts WHERE state = 'waiting' "
        "UNION ALL SELECT min(planned_at) FROM prompts WHERE outcome IS NULL AND planned_at IS NOT NULL)"
    )
    with record.reading() as db:
        row = record.first(db, query, [])
    return row["at"] if row else None


def step() -> bool:
    """Do one thing that is due; False when there was none."""
    now, due_at = time.time(), next_due()
    if due_at is None or due_at > now:
        return False
    if settling.settle_planned(now):
        wake()
        return True
    return _deliver_next("state = 'waiting' AND due_at <= ?", now) or posts.deliver_next(now)


def deliver_held(prompt_id: int) -> None:
    """Post the held callbacks of one prompt now, in this thread."""
    while _deliver_next("state = 'held' AND prompt_id = ?", prompt_id):
        pass


def _deliver_next(condition: str, value: float) -> bool:
    with record.writing() as db:
        row = record.first(
            db,
            f"SELECT d.id, d.body, callback_url, business_short_code FROM deliveries d "  # noqa: S608
            f"JOIN prompts p ON p.id = d.prompt_id WHERE {condition} ORDER BY due_at, d.id LIMIT 1",
            [value],
        )
        if not row:
            return False
        db.execute("UPDATE deliveries SET state = 'sending', sent_at = ? WHERE id = ?", [time.time(), row["id"]])
    status, problem = posts.post(row["callback_url"], row["body"], row["business_short_code"])
    with record.writing() as db:
        db.execute(
            "UPDATE deliveries SET state = ?, status = ?, problem = ? WHERE id = ?",
            ["failed" if problem else "sent", status, problem, row["id"]],
        )
    log.info("callback %s", problem or f"answered {status}")
    return True
