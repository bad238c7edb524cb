"""What is posted to the shop besides a prompt's callbacks: the results of its operator's requests; each once only."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import requests

from simulator import record

TIMEOUT = 10  # seconds, to connect and to read
_READ = 4096  # bytes of the shop's answer


def schedule(
    db: sqlite3.Connection, *, url: str, business_short_code: str, body: bytes, due_at: float, is_held: bool = False
) -> int:
    """Enter one POST, in the caller's transaction; `is_held`: it waits for `deliver`. Return its id."""
    return int(
        db.execute(
            "INSERT INTO posts (url, business_short_code, due_at, body, state) VALUES (?, ?, ?, ?, ?)",
            [url, business_short_code, due_at, body, "held" if is_held else "waiting"],
        ).lastrowid
        or 0
    )


def deliver_next(now: float) -> bool:
    """Post what is longest due; False when nothing is."""
    return _deliver("state = 'waiting' AND due_at <= ?", now)


def deliver(post_id: int) -> None:
    """Post one that is held, now and in this thread."""
    _deliver("state = 'held' AND id = ?", post_id)


def _deliver(condition: str, value: float) -> bool:
    with record.writing() as db:
        row = record.first(db, f"SELECT * FROM posts WHERE {condition} ORDER BY due_at, id LIMIT 1", [value])  # noqa: S608
        if not row:
            return False
        db.execute("UPDATE posts SET state = 'sending', sent_at = ? WHERE id = ?", [time.time(), row["id"]])
    status, problem = post(row["url"], row["body"], row["business_short_code"])
    with record.writing() as db:
        values = ["failed" if problem else "sent", status, problem, row["id"]]
        db.execute("UPDATE posts SET state = ?, status = ?, problem = ? WHERE id = ?", values)
    return True


def post(url: str, body: bytes, business_short_code: str) -> tuple[int | None, str]:
    """Post one body; return the shop's status, or what kept it from answering."""
    headers = {"Content-Type": "application/json;charset=UTF-8", "Businessshortcode": business_short_code}
    options: dict[str, Any] = {"timeout": TIMEOUT, "allow_redirects": False, "stream": True}
    try:
        with requests.Session() as session:
            session.trust_env = False  # the shop is near: no proxy, no netrc
            with session.post(url, data=body, headers=headers, **options) as response:
                next(response.iter_content(_READ), b"")
                return response.status_code, ""
    except Exception as error:  # whatever it is, this one is lost and the next one goes out
        return None, type(error).__name__
