"""What is known about the money: payments, every change of them, what Daraja told us, and what does not add up."""

from __future__ import annotations

from payments.models.books import Finding, Movement, Reading
from payments.models.by_hand import Confirmation, ReceiptClaim
from payments.models.control import DarajaToken, PromptGate, QueryBudget, UnwantedPhone
from payments.models.conversation import Conversation, ConversationResult
from payments.models.delivery import Delivery
from payments.models.evidence import Callback, Discrepancy
from payments.models.export import Export
from payments.models.mail import Mail
from payments.models.payment import (
    MADE_UP,
    Action,
    Channel,
    Reason,
    Source,
    Status,
    Transaction,
    TransactionEvent,
    payments_of,
)
from payments.models.refund import Refund

__all__ = [
    "MADE_UP",
    "Action",
    "Callback",
    "Channel",
    "Confirmation",
    "Conversation",
    "ConversationResult",
    "DarajaToken",
    "Delivery",
    "Discrepancy",
    "Export",
    "Finding",
    "Mail",
    "Movement",
    "PromptGate",
    "QueryBudget",
    "Reading",
    "Reason",
    "ReceiptClaim",
    "Refund",
    "Source",
    "Status",
    "Transaction",
    "TransactionEvent",
    "UnwantedPhone",
    "payments_of",
]
