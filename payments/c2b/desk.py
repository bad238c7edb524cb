"""What staff do about money that came by hand and found no order by itself. Whether they may, the page asks before."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db.transaction import atomic

from payments.audit import log_action
from payments.c2b.counting import OPEN_STATES, count, finish, lock_order
from payments.c2b.message import account_named
from payments.models import Confirmation, ReceiptClaim
from shop.models import Order


def order_named(typed: str) -> Order | None:
    """Return the order with this account number, however it is typed."""
    return Order.objects.filter(account_number=account_named(typed)).first()


def match(confirmation: Confirmation, order: Order, *, by: AbstractBaseUser, why: str) -> bool:
    """Count this money for an order because a person says so; False when it was settled meanwhile.

    What was not confirmed by M-PESA counts too: the person has seen it, on the organisation's statement for example.
    """
    with atomic():
        lock_order(order.pk)
        waiting = Confirmation.objects.filter(pk=confirmation.pk, state__in=OPEN_STATES)
        if not waiting.exclude(amount=None).update(order=order, transaction=None):
            return False
        count(Confirmation.objects.get(pk=confirmation.pk), note=f"{by}: {why}", by=by)
        confirmation.refresh_from_db()
        if confirmation.state == Confirmation.State.COUNTED:
            log_action(by, confirmation, f"Counted for order {order.number}: {why}")
        return confirmation.state == Confirmation.State.COUNTED


def set_aside(confirmation: Confirmation, *, by: AbstractBaseUser, why: str) -> bool:
    """Leave a confirmation alone: it is not the shop's, or was sent back; False when it was settled meanwhile."""
    with atomic():
        if not Confirmation.objects.select_for_update().filter(pk=confirmation.pk, state__in=OPEN_STATES).exists():
            return False
        finish(confirmation, Confirmation.State.SET_ASIDE, f"{by}: {why}")
        log_action(by, confirmation, f"Set aside: {why}")
    return True


def close(claim: ReceiptClaim, *, by: AbstractBaseUser, why: str) -> bool:
    """Note that a customer's claim has been seen to; False when that was done before."""
    with atomic():
        waiting = ReceiptClaim.objects.filter(pk=claim.pk, state=ReceiptClaim.State.FOR_STAFF)
        closed = waiting.update(state=ReceiptClaim.State.CLOSED, outcome=f"{by}: {why}"[:250], closed_by=by)
        if closed:
            log_action(by, claim, f"Closed: {why}")
    return bool(closed)
