"""What M-PESA says of a reversal, and the questions about those of which nobody knows what became."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from payments import budget
from payments.conversations import asking
from payments.daraja.later import Result, TransactionTold, transaction_told
from payments.models import Conversation, Refund
from payments.refunds.states import State, change

log = structlog.get_logger(__name__)

QUESTION = "refund_status"  # the purpose of our questions
GAPS = (60, 300, 3_600, 21_600, 86_400)  # seconds between questions; after the last a person has to look
CLAIM = timedelta(seconds=120)  # longer than a question takes
LOOK_EVERY = 2.0  # seconds
BATCH = 20
REVERSED_BEFORE = "R000001"
# Results that prove that nothing went back (the Daraja portal's page Reversals); any other is unknown.
NOTHING_WENT_BACK = {"R000002", "1", "11", "21", "2001", "2006", "2028", "8006"}
NOT_CARRIED_OUT = {"Cancelled", "Declined", "Expired"}


def heard_of_reversal(conversation: Conversation, result: Result | None) -> str:
    """Settle a refund by the result of its reversal; without one it is unknown, and asked about."""
    refund = Refund.objects.get(pk=conversation.subject)
    if result is None:
        changed = change(refund, State.UNKNOWN, outcome="no result came", ask_after=timezone.now())
        return "unknown: M-PESA is asked" if changed or refund.state == State.UNKNOWN else "known already"
    said = f"{result.result_code} {result.result_desc}"
    if result.is_success:
        return _done(refund, said, receipt=result.receipt)
    if result.result_code == REVERSED_BEFORE:
        return _done(refund, f"had gone back before ({said})")
    if result.result_code in NOTHING_WENT_BACK:
        return "nothing went back" if change(refund, State.FAILED, outcome=said) else "evidence only"
    if change(refund, State.UNKNOWN, outcome=f"unlisted code {said}", ask_after=timezone.now()):
        return "unlisted code: M-PESA is asked"
    return "evidence only"


def _done(refund: Refund, said: str, receipt: str = "") -> str:
    found = {"receipt": receipt} if receipt else {}
    return "sent back" if change(refund, State.DONE, outcome=said, **found) else "known already"


def heard_of_question(conversation: Conversation, result: Result | None) -> str:
    """Settle an unknown refund by what M-PESA knows of its reversal; anything unclear leaves it unknown."""
    refund = Refund.objects.get(pk=conversation.subject)
    if result is None or not result.is_success:
        return "still unknown"
    told = transaction_told(result)
    if told.status in NOT_CARRIED_OUT and _is_about_reversal(told, refund):
        return "nothing went back" if change(refund, State.FAILED, outcome=told.status) else "evidence only"
    if told.is_completed and _is_about_reversal(told, refund) and told.amount == refund.amount:
        return _done(refund, f"M-PESA says {told.status}", receipt=told.receipt)
    return "still unknown"


def _is_about_reversal(told: TransactionTold, refund: Refund) -> bool:
    """Return whether the answer is about the way back, not about the payment itself."""
    return bool(told.receipt) and told.receipt != refund.transaction.mpesa_receipt_number


def ask_about_unknown() -> int:
    """Ask M-PESA about the refunds whose question is due, within the budget of all questions; return how many."""
    mine = Refund.objects.filter(environment=settings.MPESA_ENVIRONMENT, ask_after__lte=timezone.now())
    due = list(mine.select_related("conversation", "transaction").order_by("ask_after")[:BATCH])
    if not due or budget.is_silent():
        return 0
    return sum(_ask(refund) for refund in due)


def _ask(refund: Refund) -> bool:
    now = timezone.now()
    mine = Refund.objects.filter(pk=refund.pk, ask_after=refund.ask_after)
    if not mine.update(ask_after=now + CLAIM):
        return False
    conversation = refund.conversation
    if conversation is None or not conversation.originator_conversation_id:
        # Neither side knows an id: only a late result, the statement or a person can tell.
        return _put_off(refund.pk, None)
    if not budget.take_query():
        return _put_off(refund.pk, budget.silent_until() or now + CLAIM / 10)
    asking.ask_transaction_status(
        originator_conversation_id=conversation.originator_conversation_id, purpose=QUESTION, subject=str(refund.pk)
    )
    silent_until = budget.silent_until()
    if silent_until:
        return _put_off(refund.pk, silent_until)  # M-PESA took in no question, so this was none of the few
    asked = refund.asked
    Refund.objects.filter(pk=refund.pk).update(asked=asked + 1)
    _put_off(refund.pk, now + timedelta(seconds=GAPS[asked]) if asked < len(GAPS) else None)
    return True


def _put_off(refund_id: UUID, until: datetime | None) -> bool:
    """Note when the next question is due; a refund that was settled meanwhile is asked about no more."""
    Refund.objects.filter(pk=refund_id, state=State.UNKNOWN).update(ask_after=until)
    return False
