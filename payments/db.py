"""The thread's database connection, given back while something slow is waited for."""

from __future__ import annotations

from django.db import connection


def release_connection() -> None:
    """Give the connection back: a request that waits for Daraja or for news must not keep one from the others."""
    if not connection.in_atomic_block:
        connection.close()
