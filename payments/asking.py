"""A customer's wish to know: Daraja is asked out of turn, as seldom and within the same share as for any hint."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from payments.models import Reason, Status, Transaction

ASK_AGAIN = timedelta(seconds=20)  # a payment; whoever presses more often has been heard already
DUE_ANYWAY = timedelta(seconds=3)


def ask_for_customer(transaction_id: UUID) -> bool:
    """Have the reconciler ask about a payment without a proven end in its next pass; return whether that is new."""
    now = timezone.now()
    unproven = Q(status=Status.PENDING) | Q(reason__in=(Reason.EXPIRED, Reason.UNKNOWN))
    asked_for = Transaction.objects.filter(unproven, pk=transaction_id, environment=settings.MPESA_ENVIRONMENT)
    may_ask = asked_for.exclude(checkout_request_id=None).exclude(hinted_at__gt=now - ASK_AGAIN)
    return bool(may_ask.exclude(check_after__lte=now + DUE_ANYWAY).update(hinted_at=now, check_after=now))
