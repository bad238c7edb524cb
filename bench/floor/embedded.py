"""The floor of a shop in one process: one UPDATE committed to SQLite with synchronous=FULL, one frame.

The commit runs on the loop itself: a thread would cost more than it takes.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from bench.floor.sockets import accept, body_of, payment_in, push, receipt_in, watch

UPDATE = "UPDATE payment SET status = 'COMPLETED', receipt = ? WHERE id = ? AND status = 'PENDING' RETURNING status"

connection = sqlite3.connect(os.environ["SQLITE_FILE"], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=FULL")


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await _confirm(payment_in(scope["path"]), await body_of(receive))
        await accept(send)
    elif scope["type"] == "websocket":
        await watch(payment_in(scope["path"]), receive, send)
    else:
        raise NotImplementedError(scope["type"])  # as ASGI wants it where there is no lifespan


async def _confirm(payment_id: str, body: bytes) -> None:
    if connection.execute(UPDATE, [receipt_in(body), payment_id]).fetchall():
        await push(payment_id)
