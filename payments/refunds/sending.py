"""Send a reversal to M-PESA: once in its life, however often the button is pressed and whatever becomes of us."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.db.transaction import atomic
from django.utils import timezone

from payments.conversations import asking
from payments.models import Conversation, Refund
from payments.refunds.states import State, change

PURPOSE = "refund"
FIRST_QUESTION = timedelta(seconds=30)
_UNSAFE = re.compile(r"[^A-Za-z0-9 -]+")  # other characters are reported to fail silently
_LONGEST_REMARKS = 100


def send(refund: Refund) -> Refund:
    """Ask M-PESA for the reversal, unless that has been done or somebody has to approve it first.

    Call it outside any database transaction. What became of asking stands in the state; the result comes later.
    """
    conversation = _claim(refund)
    if conversation is None:
        return refund
    conversation = asking.send_reversal(conversation, amount=refund.amount, remarks=_remarks(refund))
    if conversation.state == Conversation.State.REFUSED:
        change(refund, State.FAILED, outcome=f"nothing was sent: {conversation.problem}")
    elif conversation.state == Conversation.State.ACCEPTED:
        change(refund, State.ACCEPTED, outcome="M-PESA has taken it in")
    elif conversation.state == Conversation.State.UNKNOWN:
        change(refund, State.UNKNOWN, outcome=f"the answer was lost: {conversation.problem}", ask_after=_soon())
    refund.refresh_from_db()
    return refund


def _claim(refund: Refund) -> Conversation | None:
    """Take the one right to send it, and write down that it goes out; None for whoever comes second."""
    approved = Q(needs_second_person=False) | Q(approved_by__isnull=False)
    mine = Refund.objects.filter(
        approved,
        pk=refund.pk,
        environment=settings.MPESA_ENVIRONMENT,
        method=Refund.Method.REVERSAL,
        state=State.REQUESTED,
        sent_at=None,
    )
    with atomic():
        if not mine.update(sent_at=timezone.now()):
            refund.refresh_from_db()
            return None
        receipt = refund.transaction.mpesa_receipt_number or ""
        kind = Conversation.Kind.REVERSAL
        conversation = asking.begin(kind, receipt=receipt, purpose=PURPOSE, subject=str(refund.pk))
        Refund.objects.filter(pk=refund.pk).update(conversation=conversation)
        refund.refresh_from_db()
    return conversation


def _remarks(refund: Refund) -> str:
    words = " ".join(_UNSAFE.sub(" ", refund.reason).split())
    return words[:_LONGEST_REMARKS] if len(words) > 1 else "Refund"


def _soon() -> datetime:
    return timezone.now() + FIRST_QUESTION
