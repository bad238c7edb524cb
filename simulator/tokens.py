"""Bearer tokens: each new one kills the one before, as the portal says."""

from __future__ import annotations

import hmac
import time

from simulator import identifiers, record

LIFETIME = 3600  # seconds
EXPIRES_IN = "3599"  # a string, in every logged answer


def issue(consumer_key: str) -> str:
    """Return a new token; whatever token this key had is worthless from now on."""
    token = identifiers.token()
    with record.writing() as db:
        db.execute(
            "INSERT INTO tokens (consumer_key, token, issued_at, issued) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (consumer_key) DO UPDATE "
            "SET token = excluded.token, issued_at = excluded.issued_at, issued = issued + 1",
            [consumer_key, token, time.time()],
        )
    return token


def is_valid(token: str, consumer_key: str) -> bool:
    with record.reading() as db:
        row = record.first(db, "SELECT token, issued_at FROM tokens WHERE consumer_key = ?", [consumer_key])
    if not row or not 0 <= time.time() - row["issued_at"] < LIFETIME:
        return False
    return hmac.compare_digest(token.encode(), row["token"].encode())


def issued(consumer_key: str) -> int:
    """Return how many tokens this key was ever given."""
    with record.reading() as db:
        row = record.first(db, "SELECT issued FROM tokens WHERE consumer_key = ?", [consumer_key])
    return int(row["issued"]) if row else 0
