"""How long the desk's searches take: `python -m tests.services python -m bench.search [--plans FILE] [payments …]`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from bench.plans import Looks, compare

PAGE = 100  # payments
GAP = 20  # seconds from one payment to the next


def looks_at(size: int) -> Looks:
    """Return the searches, each for something that is there."""
    from payments.admin.common import MOST_COUNTED
    from payments.search import Search

    def first_page(query: dict[str, str]) -> list[Any]:
        return list(Search.of(query).payments().select_related("order")[:PAGE])

    middle = size // 2
    queries: dict[str, dict[str, str]] = {
        "everything": {},
        "phone": {"q": f"0712 {middle % 1000:03d} 001"},
        "a phone that pays often": {"q": f"0700 {middle % 300_000:06d}"},
        "receipt": {"q": f"U{middle:09d}"},
        "order number": {"q": f"{middle:x}".rjust(8, "Z")},
        "CheckoutRequestID": {"q": f"ws_CO_{middle}"},
        "a code of nobody": {"q": "NOSUCHCODE"},
        "amount": {"q": "1,234"},
        "waiting": {"status": "PENDING"},
        "not paid": {"status": "FAILED"},
        "a reason": {"reason": "expired"},
        "told by query": {"source": "query"},
        "told by staff": {"source": "staff"},
        "amounts between": {"least": "4990", "most": "4999"},
        "a day": {"from": "2026-11-20", "to": "2026-11-20"},
        "seen to by staff": {"touched": "yes"},
        "not paid, of a phone": {"q": "0700 000 001", "status": "FAILED"},
    }
    looks: Looks = {name: partial(first_page, query) for name, query in queries.items()}
    return looks | {"count for the pages": lambda: Search().payments().order_by()[:MOST_COUNTED].count()}


if __name__ == "__main__":
    compare(looks_at, sys.argv[1:], what="Search", gap=GAP)
