"""The order desk: paid orders wait to be packed and handed over. Each press is kept with the order's payment.

Whoever has got all of the money back is owed nothing: such an order leaves the queue and is shown apart.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.db.transaction import atomic
from django.utils import timezone

from payments.amendments import note_action
from payments.audit import log_action
from payments.models import Action, Refund, Status, Transaction
from shop.models import Order
from shop.orders import UNDO_WITHIN, take_step, take_step_back

MOST_SHOWN = 100  # orders of one kind
TOLD_FOR = timedelta(days=7)  # how long an order whose money went back is shown

Fulfilment = Order.Fulfilment
_ACTIONS = {Fulfilment.PACKED: Action.PACKED, Fulfilment.HANDED_OVER: Action.HANDED_OVER}
_HAS_GONE_BACK = Q(sent_back__gte=F("amount_paid"))  # nothing of what arrived is kept


def waiting(fulfilment: Order.Fulfilment) -> QuerySet[Order]:
    """Return the paid orders at this step, those first that have waited longest; not those whose money went back."""
    kept = _paid().filter(~_HAS_GONE_BACK, fulfilment=fulfilment)
    return kept.order_by("paid_at").prefetch_related("lines")


def just_handed_over(within: timedelta = UNDO_WITHIN) -> QuerySet[Order]:
    """Return what was handed over so lately that it can be taken back."""
    gone = _with_money().filter(handed_over_at__gt=timezone.now() - within, fulfilment=Fulfilment.HANDED_OVER)
    return gone.order_by("-handed_over_at").prefetch_related("lines")


def sent_back(within: timedelta = TOLD_FOR) -> QuerySet[Order]:
    """Return the orders not handed over whose money has all gone back lately: what is packed returns to the shelf."""
    lately = Refund.objects.filter(
        transaction__order=OuterRef("pk"), state=Refund.State.DONE, ended_at__gt=timezone.now() - within
    )
    gone = _paid().filter(_HAS_GONE_BACK, Exists(lately)).exclude(fulfilment=Fulfilment.HANDED_OVER)
    return gone.order_by("-paid_at").prefetch_related("lines")


def _paid() -> QuerySet[Order]:
    return _with_money().filter(status=Order.Status.PAID)


def _with_money() -> QuerySet[Order]:
    """Return all orders with the whole KES that went back (`sent_back`), and that are asked to (`going_back`)."""
    payments = Transaction.objects.filter(order=OuterRef("pk"), refunded_amount__gt=0).order_by()
    unfinished = (Refund.State.REQUESTED, Refund.State.ACCEPTED, Refund.State.UNKNOWN)
    refunds = Refund.objects.filter(transaction__order=OuterRef("pk"), state__in=unfinished).order_by()
    return Order.objects.annotate(
        sent_back=_total(payments.values("order").annotate(total=Sum("refunded_amount"))),
        going_back=_total(refunds.values("transaction__order").annotate(total=Sum("amount"))),
    )


def _total(sums: QuerySet[Any, Any]) -> Coalesce:
    return Coalesce(Subquery(sums.values("total"), output_field=IntegerField()), 0)


def press(order_id: UUID, step: Order.Fulfilment, *, by: AbstractBaseUser, undo: bool = False) -> bool:
    """Pack an order, hand it over, or take that back; False when somebody else was faster, or its money went back."""
    with atomic():
        # A refund takes this lock first, too: either it is seen here, or it comes after the press and shows it.
        Order.objects.select_for_update(of=("self",), no_key=True).filter(pk=order_id).first()
        if not undo and _with_money().filter(_HAS_GONE_BACK, pk=order_id).exists():
            return False
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
