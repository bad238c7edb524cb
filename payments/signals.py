"""What payments announces; it never learns who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from django.db.transaction import on_commit
from django.dispatch import Signal

if TYPE_CHECKING:
    from payments.models import Transaction

# Sent after commit with `transaction_id` (UUID) and `version` (int), for every change of a payment; `payment` is the
# row as it was committed, with its order, so that nobody has to read it again.
transaction_changed = Signal()

# Sent after commit, for a batch of payments whose pages have said that they show the end: `seconds` (from the callback
# to the screen) by the payment's id (str). Nothing of a payment changes with it.
ends_seen = Signal()

_is_quiet: ContextVar[bool] = ContextVar("is_quiet", default=False)


@contextmanager
def unannounced() -> Iterator[None]:
    """Announce nothing meanwhile: for what is written into the past, where nobody watches."""
    before = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(before)


def announce_change(payment: Transaction) -> None:
    """Send `transaction_changed` when the database transaction that changed `payment` is committed."""
    transaction_id, version = payment.pk, payment.version

    def send() -> None:
        # send_robust: a listener that fails must never hurt a payment that is already committed.
        transaction_changed.send_robust(type(payment), transaction_id=transaction_id, version=version, payment=payment)

    if not _is_quiet.get():
        on_commit(send)
