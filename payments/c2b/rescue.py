"""A customer says: I have paid, here is the SMS, or its code.

A code proves that somebody has seen it, nothing more. It brings money to this order only when the amount fits and
either the account number was this order's, or the payer's visible digits are those of a phone typed for this order;
everything else is for staff. Nobody who sends a code is told what became of it: unknown, foreign and used codes
read alike, and whoever is right sees the page turn green.
"""

from __future__ import annotations

import re
from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models import QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from payments.c2b.counting import OPEN_STATES, count, holder_of, lock_order
from payments.c2b.inbox import keep_told
from payments.c2b.message import Message, may_be_same_phone
from payments.models import Channel, Confirmation, ReceiptClaim, payments_of
from shop.limits import Limit, address_digest
from shop.limits import count as count_try
from shop.models import Order

log = structlog.get_logger(__name__)

PER_ORDER = Limit(5, timedelta(days=30))
PER_ADDRESS = Limit(20, timedelta(days=1))
LONGEST_TYPED = 500  # characters; an SMS of M-PESA has about 200
BATCH = 100
State = ReceiptClaim.State
# Before "Confirmed", as in the SMS, or alone, a code may be letters only, as one in ten is; elsewhere that is a word.
_CODES = (
    re.compile(r"\b([A-Z][A-Z0-9]{9})\W+(?:CONFIRMED|IMETHIBITISHWA)\b", re.ASCII),
    re.compile(r"\A\W*([A-Z][A-Z0-9]{9})\W*\Z", re.ASCII),
    re.compile(r"\b((?=[A-Z]*[0-9])(?=[0-9]*[A-Z])[A-Z0-9]{10})\b", re.ASCII),
)


def code_in(typed: str) -> str:
    """Return the receipt in what a customer pasted: the code alone, or the whole SMS, which begins with it."""
    text = typed[:LONGEST_TYPED].upper()
    return next((found[1] for code in _CODES if (found := code.search(text))), "")


def claim(order: Order, code: str, *, address: str | None) -> None:
    """Note that a customer says this receipt paid this order; raises `TooOften`. Looking at it comes later, for all."""
    with atomic():
        count_try("receipts.address", address_digest(address or ""), PER_ADDRESS)
        count_try("receipts.order", order.pk.hex, PER_ORDER)
        ReceiptClaim.objects.get_or_create(
            environment=settings.MPESA_ENVIRONMENT,
            order=order,
            code=code,
            defaults={"check_after": timezone.now()},
        )
    log.info("receipt.claimed", order_id=str(order.pk))


def look_at_claims() -> int:
    """Look whether what we hold already answers a claim; return how many claims are answered now."""
    mine = ReceiptClaim.objects.filter(environment=settings.MPESA_ENVIRONMENT, state=State.LOOKING)
    waiting = mine.filter(checks=0).exclude(check_after=None).select_related("order")
    return sum(settle_claim(one) for one in waiting.order_by("pk")[:BATCH])


def settle_claim(one: ReceiptClaim) -> bool:
    """Answer a claim from what we hold; False while M-PESA has to be asked."""
    held = holder_of(one.code)
    if held is not None:
        ours = held.order_id == one.order_id
        return _end(one, State.FOUND if ours else State.FOR_STAFF, "" if ours else "counted for another order")
    real = _confirmations(one.code).filter(is_trusted=True).first()
    if real is None:
        if settings.MPESA_INITIATOR_NAME:
            return False
        return _end(one, State.FOR_STAFF, "M-PESA cannot be asked: there is no API operator")
    if not _fits(real, one.order):
        return _end(one, State.FOR_STAFF, "real, and neither account number nor phone are this order's")
    with atomic():
        lock_order(one.order_id)
        Confirmation.objects.filter(pk=real.pk, order=None).update(order=one.order)
        outcome = count(Confirmation.objects.get(pk=real.pk), note="the customer sent its code")
    found = holder_of(one.code)
    return _end(one, State.FOUND if found and found.order_id == one.order_id else State.FOR_STAFF, outcome)


def _confirmations(code: str) -> QuerySet[Confirmation]:
    mine = Confirmation.objects.filter(environment=settings.MPESA_ENVIRONMENT, trans_id=code)
    return mine.filter(state__in=OPEN_STATES)


def _fits(real: Confirmation, order: Order) -> bool:
    """Return whether this money may be brought to this order without a person who looks."""
    if real.amount is None or real.order_id not in (None, order.pk) or order.status != Order.Status.OPEN:
        return False
    if real.order_id == order.pk:
        return real.amount <= order.amount_due
    phones = payments_of(order).filter(channel=Channel.STK)
    typed = set(phones.values_list("phone_number", flat=True))
    return real.amount == order.amount_due and any(may_be_same_phone(real.msisdn, phone) for phone in typed)


def _end(one: ReceiptClaim, state: str, outcome: str) -> bool:
    done = {"state": state, "outcome": outcome[:250], "check_after": None}
    ReceiptClaim.objects.filter(pk=one.pk, state=State.LOOKING).update(**done)
    log.info("receipt.looked_up", claim=one.pk, state=str(state), outcome=outcome)
    return True


# M-PESA's word about a code of which nobody had told us ---------------------------------------------------------


def waiting_claims(code: str) -> QuerySet[ReceiptClaim]:
    """Return the claims that wait for M-PESA's word about a code."""
    mine = ReceiptClaim.objects.filter(environment=settings.MPESA_ENVIRONMENT, code=code, state=State.LOOKING)
    return mine.select_related("order").order_by("pk")


def hear_completed(code: str, amount: int | None, msisdn: str) -> None:
    """Answer the claims for a code that M-PESA knows; money that nobody had told us of is kept like a confirmation."""
    claims = list(waiting_claims(code))
    if not claims:
        return
    if holder_of(code) is None and not _confirmations(code).filter(is_trusted=True).exists():
        keep_told(Message(code, amount, "", "", msisdn), how="Transaction Status, when a customer sent its code")
    for one in claims:
        if not settle_claim(one):
            _end(one, State.FOR_STAFF, "real, and it cannot be counted")


def hear_denied(code: str, *, is_final: bool, again_after: timedelta) -> None:
    """Leave claims for a code that M-PESA does not know to staff, once it has said so twice."""
    now = timezone.now()
    for one in waiting_claims(code):
        if is_final or (one.denied_at and now - one.denied_at >= again_after):
            _end(one, State.FOR_STAFF, "M-PESA knows no such payment")
        elif one.denied_at is None:
            ReceiptClaim.objects.filter(pk=one.pk).update(denied_at=now)
