"""A day for one payment: all its times are moved back in the shop's database, behind the shop's back."""

from __future__ import annotations

import sqlite3
from uuid import UUID

import psycopg

from tests.faults.rig.cluster import Cluster

HOURS = 25
TIMES = (
    *("created_at", "updated_at", "prompted_at", "expires_at", "failed_at"),
    *("check_after", "queried_at", "watched_at"),
)


def age(cluster: Cluster, transaction_id: str) -> None:
    """Let the payment be 25 hours older than it is."""
    url = cluster.workers[0].settings["DATABASE_URL"]
    if not url.startswith("sqlite"):
        earlier = ", ".join(f"{name} = {name} - interval '{HOURS} hours'" for name in TIMES)
        with psycopg.connect(url) as connection:
            connection.execute(f"UPDATE payments_transaction SET {earlier} WHERE id = %s", [transaction_id])
        return
    text = "strftime('%Y-%m-%d %H:%M:%f', {0}, '-{1} hours')"
    earlier = ", ".join(f"{name} = {text.format(name, HOURS)}" for name in TIMES)
    with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20) as connection:
        connection.execute(f"UPDATE payments_transaction SET {earlier} WHERE id = ?", [UUID(transaction_id).hex])
