"""The order desk: paid orders wait to be packed and handed over. Each press is kept with the order's payment."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from payments.audit import log_action
from payments.models import Action, Status, Transaction
from payments.transitions import note_action
from shop.models import Order
from shop.orders import UNDO_WITHIN, take_step, take_step_back

MOST_SHOWN = 100  # orders of one kind

Fulfilment = Order.Fulfilment
_ACTIONS = {Fulfilment.PACKED: Action.PACKED, Fulfilment.HANDED_OVER: Action.HANDED_OVER}


def waiting(fulfilment: Order.Fulfilment) -> QuerySet[Order]:
    """Return the paid orders at this step, those first that have waited longest."""
    paid = Order.objects.filter(status=Order.Status.PAID, fulfilment=fulfilment)
    return paid.order_by("paid_at").prefetch_related("lines")


def just_handed_over(within: timedelta = UNDO_WITHIN) -> QuerySet[Order]:
    """Return what was handed over so lately that it can be taken back."""
    gone = Order.objects.filter(handed_over_at__gt=timezone.now() - within, fulfilment=Fulfilment.HANDED_OVER)
    return gone.order_by("-handed_over_at").prefetch_related("lines")


def press(order_id: UUID, step: Order.Fulfilment, *, by: AbstractBaseUser, undo: bool = False) -> bool:
    """Pack an order, hand it over, or take that back; False when somebody else was faster."""
    with atomic():
        if not (take_step_back if undo else take_step)(order_id, step):
            return False
        action = Action.UNDONE if undo else _ACTIONS[step]
        order = Order.objects.get(pk=order_id)
        log_action(by, order, str(action.label).capitalize())
        payment = _payment_of(order)
        if payment:
            note_action(payment, action, by=by, note=str(step.label) if undo else "")
    return True


def _payment_of(order: Order) -> Transaction | None:
    """Return the payment that paid the order; an order paid in another way has none."""
    return order.transactions.filter(status=Status.COMPLETED).order_by("completed_at").first()
