"""Money back: decided by people, sent once, and followed until it is known what became of it.

    REQUESTED ──▶ ACCEPTED ──▶ DONE          M-PESA's own result, or its answer to a question
        │             ├──────▶ FAILED        nothing went back: a refusal, a listed code
        └─────────────┴──────▶ UNKNOWN       a lost answer: M-PESA is asked, and the reversal is never sent again

UNKNOWN becomes DONE or FAILED by what M-PESA says, or by a person who has looked at its portal; and FAILED becomes
DONE when the money turns out to have gone back. Nothing leaves DONE. Every amount is whole KES.
"""

from __future__ import annotations

from payments.refunds.decisions import (
    RefundRefused,
    approve,
    decline,
    record_by_hand,
    refundable,
    request_reversal,
    settle_unknown,
)
from payments.refunds.sending import send

__all__ = [
    "RefundRefused",
    "approve",
    "decline",
    "record_by_hand",
    "refundable",
    "request_reversal",
    "send",
    "settle_unknown",
]
