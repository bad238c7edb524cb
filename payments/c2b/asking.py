"""Ask M-PESA about receipts, one Transaction Status each, and understand what it answers later."""

from __future__ import annotations

import re

import structlog
from django.conf import settings

from payments import budget
from payments.c2b import rescue, verification
from payments.c2b.message import visible_digits
from payments.c2b.verification import Told
from payments.conversations import asking
from payments.daraja.later import Result, TransactionTold, transaction_told
from payments.models import Conversation

log = structlog.get_logger(__name__)

PURPOSE = "by_hand"
LOOK_EVERY = 0.25  # seconds between rounds: a customer stands there and waits
_NO_SUCH_RECEIPT = re.compile(r"R000002|not exist|not found|transactionid is invalid", re.IGNORECASE)
_ENDED_UNPAID = frozenset({"Cancelled", "Declined", "Expired"})


def look() -> int:
    """Look what customers say they have paid, and ask about every receipt whose question is due; return how many.

    Without an API operator nothing can be asked: all waits for Pull Transactions, or for staff.
    """
    if not verification.is_anything_waiting():
        return 0
    rescue.look_at_claims()
    if not settings.MPESA_INITIATOR_NAME or budget.is_silent():
        return 0
    asked = 0
    for receipt in verification.due():
        if not budget.take_receipt_question():
            break
        if verification.claim(receipt):
            asking.ask_transaction_status(receipt=receipt, purpose=PURPOSE, subject=receipt)
            asked += 1
            quiet_until = budget.silent_until()
            if quiet_until:
                verification.ask_again(receipt, quiet_until)
                break
    return asked


def heard(conversation: Conversation, result: Result | None) -> str:
    """Take M-PESA's answer about a receipt; none came in time: it is asked again."""
    told = _told(conversation.subject, result) if result else None
    if told is None:
        return "nothing is known yet"
    verification.hear(told)
    return told.outcome


def _told(receipt: str, result: Result) -> Told | None:
    """Return what a result says of the receipt; None where it only says that we asked wrongly, or too early."""
    if not result.is_success:
        unknown = _NO_SUCH_RECEIPT.search(f"{result.result_code} {result.result_desc}")
        return Told(receipt, "denied") if unknown else None
    about = transaction_told(result)
    if about.receipt not in ("", receipt):
        return None
    if about.is_completed:
        if not _came_to_us(about):
            return Told(receipt, "denied", is_final=True)
        return Told(receipt, "completed", about.amount, msisdn=visible_digits(_name_of(about.debit_party)))
    return Told(receipt, "denied", is_final=True) if about.status in _ENDED_UNPAID else None


def _came_to_us(about: TransactionTold) -> bool:
    """Return whether the shop received this money: what it sent out, a refund above all, has a receipt as well."""
    ours = {settings.MPESA_SHORTCODE, settings.MPESA_TILL_NUMBER} - {""}
    if about.credit_party:
        return _name_of(about.credit_party) in ours
    return bool(visible_digits(_name_of(about.debit_party)))


def _name_of(party: str) -> str:
    """Return the number in front of a party's name: a short code, or a phone."""
    return party.partition(" - ")[0].strip()
