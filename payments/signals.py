"""What payments announces; it never learns who listens."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after commit with `transaction_id` (UUID) and `version` (int), for every change of a payment.
transaction_changed = Signal()
