"""A payment by hand that M-PESA has not confirmed yet: what the pages that ask for money say of it, and for how long.

Whoever knows the confirmations' path, or an order's address, can announce one. So it refuses nothing: for two minutes
the pages ask "have you paid?" before they send a prompt, and whoever has not gets it with one press more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from payments import budget
from payments.models import Confirmation, ReceiptClaim, Status, payments_of
from shop.limits import seconds_until
from shop.models import Order

ASKED_FIRST = timedelta(seconds=120)  # from what announced it
_UNSETTLED = (Confirmation.State.RECEIVED, Confirmation.State.CHECKING, Confirmation.State.UNMATCHED)
_CLAIMED = (ReceiptClaim.State.LOOKING, ReceiptClaim.State.FOR_STAFF)


@dataclass(frozen=True)
class Announced:
    """What is known of it. `is_found`: M-PESA's confirmation named the order, else a customer sent a code.

    `amount`: whole KES, None where nobody told. `until`: how long the pages ask first. `asked_at`: when M-PESA may be
    asked again, None unless it has told us to be quiet.
    """

    is_found: bool
    amount: int | None
    until: datetime
    asked_at: datetime | None

    @property
    def seconds(self) -> int:
        """Seconds that the pages still ask first; 0 when that time is over."""
        return seconds_until(self.until)

    @property
    def asked_in(self) -> int:
        """Seconds until M-PESA is asked again; 0 when nothing holds that up."""
        return seconds_until(self.asked_at) if self.asked_at else 0


def announced(order: Order) -> Announced | None:
    """Return the newest payment by hand that an open order waits for; None when there is none."""
    if order.status != Order.Status.OPEN:
        return None
    found = _newest_confirmation(order)
    if found:
        waits = found.state == Confirmation.State.CHECKING and found.check_after is not None
        return Announced(True, found.amount, found.received_at + ASKED_FIRST, budget.silent_until() if waits else None)
    claim = _newest_claim(order)
    if claim is None:
        return None
    return Announced(
        False, None, claim.claimed_at + ASKED_FIRST, budget.silent_until() if claim.check_after is not None else None
    )


def asks_first(order: Order) -> bool:
    """Return whether a form asks first before it has a prompt sent; where one is open, none would be sent anyway."""
    told = announced(order)
    return bool(told and told.seconds) and not payments_of(order).filter(status=Status.PENDING).exists()


def news(order: Order) -> str:
    """Return a word that changes whenever the order's page would show something else about its money."""
    told = announced(order)
    by_hand = f"{told.is_found:d}{told.seconds > 0:d}{told.asked_in > 0:d}" if told else "0"
    return f"{order.status}.{order.amount_paid}.{by_hand}"


def _newest_confirmation(order: Order) -> Confirmation | None:
    """Return the one that names the order, not one of its prompts, and may still be counted, by staff too."""
    mine = Confirmation.objects.filter(order=order, environment=settings.MPESA_ENVIRONMENT, transaction=None)
    return mine.filter(state__in=_UNSETTLED).defer("body").order_by("-received_at").first()


def _newest_claim(order: Order) -> ReceiptClaim | None:
    mine = ReceiptClaim.objects.filter(order=order, environment=settings.MPESA_ENVIRONMENT, state__in=_CLAIMED)
    return mine.filter(claimed_at__gt=timezone.now() - ASKED_FIRST).order_by("-claimed_at").first()
