"""What an order answers to payments, whatever shop it belongs to."""

from __future__ import annotations

from enum import StrEnum


class OrderNotCancellable(Exception):
    """The order stays as it is; `detail` tells the customer why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PaidOutcome(StrEnum):
    """What money that arrived did to its order."""

    PAID = "paid"
    OVERPAID = "overpaid"  # it is paid now, by more than was due
    SURPLUS = "surplus"  # it was paid already
    AFTER_CANCEL = "after_cancel"  # it stays cancelled
    PARTLY = "partly"  # more is due
