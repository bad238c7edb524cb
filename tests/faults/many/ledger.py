"""What phones really paid, what went back and what was posted, read from the simulator's record."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

# `told`: a callback or a confirmation of it was answered with 200 by the simulator's own courier.
_PAYMENTS = """
SELECT p.phone_number, p.receipt, p.amount, p.checkout_request_id,
    EXISTS (SELECT 1 FROM deliveries d WHERE d.prompt_id = p.prompt_id AND d.status = 200)
FROM payments p ORDER BY p.paid_at
"""
_PROMPTS = "SELECT phone_number, count(*) FROM prompts GROUP BY phone_number"
_WAITING = """
SELECT p.phone_number FROM deliveries d JOIN prompts p ON p.id = d.prompt_id WHERE d.state IN ('waiting', 'sending')
UNION ALL SELECT phone_number FROM prompts WHERE outcome IS NULL AND planned_outcome = 'paid'
"""


@dataclass(frozen=True)
class Paid:
    """One payment of a phone; `amount`: KES; `is_told`: the shop has answered a true message about it with 200."""

    phone_number: str
    receipt: str
    amount: int
    checkout_request_id: str
    is_told: bool


class Ledger:
    """Reads, and never writes."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def _all(self, query: str) -> list[tuple]:
        with sqlite3.connect(f"file:{self._record}?mode=ro", uri=True, timeout=10) as connection:
            return connection.execute(query).fetchall()

    def paid(self) -> dict[str, list[Paid]]:
        """Return all payments by phone, the oldest first."""
        found = defaultdict(list)
        for phone_number, receipt, amount, checkout_request_id, is_told in self._all(_PAYMENTS):
            found[phone_number].append(Paid(phone_number, receipt, amount, checkout_request_id, bool(is_told)))
        return found

    def prompts(self) -> dict[str, int]:
        """Return how often each phone was prompted."""
        return dict(self._all(_PROMPTS))

    def waiting(self) -> set[str]:
        """Return the phones whose payment is about to be made, or of which the shop is still to be told."""
        return {phone_number for (phone_number,) in self._all(_WAITING)}
