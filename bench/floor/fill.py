"""Write payments for the floors: `python -m bench.floor.fill <count>`."""

from __future__ import annotations

import os
import sqlite3
import sys
import uuid
from collections.abc import Iterator

import psycopg

from bench.payments import Payment, hand_over, numbered_success

TABLE = "CREATE TABLE payment (id varchar(36) PRIMARY KEY, status varchar(9) NOT NULL, receipt varchar(40))"


def fill(count: int) -> Iterator[Payment]:
    ids = [str(uuid.uuid4()) for _ in range(count)]
    _write(ids)
    for number, payment_id in enumerate(ids):
        yield Payment(f"/ws/payments/{payment_id}/", f"/callback/{payment_id}/", numbered_success(number))


def _write(ids: list[str]) -> None:
    if file := os.environ.get("SQLITE_FILE"):
        with sqlite3.connect(file) as connection:
            connection.execute(TABLE)
            connection.executemany("INSERT INTO payment (id, status) VALUES (?, 'PENDING')", [[key] for key in ids])
        connection.close()
        return
    with psycopg.connect(os.environ["DATABASE_URL"]) as database, database.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.executemany("INSERT INTO payment (id, status) VALUES (%s, 'PENDING')", [[key] for key in ids])


if __name__ == "__main__":
    hand_over(fill(int(sys.argv[1])))
