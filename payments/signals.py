"""What payments announces; it never learns who listens."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after commit with `transaction_id` (UUID) and `version` (int), for every change of a payment; `payment` is the
# row as it was committed, with its order, so that nobody has to read it again.
transaction_changed = Signal()
