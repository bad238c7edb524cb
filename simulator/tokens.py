"""Bearer tokens: each new one kills the one before, as the portal says."""

from __future__ import annotations

import hmac
import time

from simulator import identifiers, record

LIFETIME = 3600  # seconds
SLOW_FOR = 30  # seconds that a stale token makes the next one slow
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


def goes_stale(consumer_key: str, phone_number: str) -> bool:
    """Take the key's token away before a phone's push, so that the next one is slow to come; every second time only.

    The second time is the same push with the new token: False, and no token is slow any more.
    """
    with record.writing() as db:
        if db.execute("DELETE FROM slow_tokens WHERE phone_number = ?", [phone_number]).rowcount:
            return False
        db.execute("INSERT INTO slow_tokens (phone_number, since) VALUES (?, ?)", [phone_number, time.time()])
        db.execute("UPDATE tokens SET token = '' WHERE consumer_key = ?", [consumer_key])
    return True


def is_slow() -> bool:
    """Return whether a new token is slow to come now; who never fetches it does not slow the others for long."""
    with record.reading() as db:
        row = record.first(db, "SELECT since FROM slow_tokens WHERE since > ? LIMIT 1", [time.time() - SLOW_FOR])
    return row is not None
