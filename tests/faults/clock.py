"""Time that passes at once: every stored moment moves into the past, so that every process agrees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F, Model

from payments.models import Callback, Confirmation, QueryBudget, ReceiptClaim, Transaction

MOMENTS: dict[type[Model], tuple[str, ...]] = {
    Transaction: (
        "created_at", "updated_at", "prompted_at", "expires_at", "completed_at", "failed_at", "check_after",
        "queried_at", "hinted_at", "watched_at",
    ),
    Callback: ("received_at", "processed_at"),
    Confirmation: ("received_at", "processed_at", "check_after", "denied_at"),
    ReceiptClaim: ("claimed_at", "check_after", "denied_at"),
    QueryBudget: ("refilled_at", "silent_until"),
}  # fmt: skip


def let_pass(seconds: float) -> None:
    """Let so many seconds pass for every row; what is unset stays so."""
    for model, names in MOMENTS.items():
        earlier: dict[str, Any] = {name: F(name) - timedelta(seconds=seconds) for name in names}
        model._default_manager.update(**earlier)
