"""What payments announces; it never learns who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.dispatch import Signal

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


def is_quiet() -> bool:
    return _is_quiet.get()
