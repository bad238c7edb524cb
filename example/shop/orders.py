"""The functions by which Papo's payments reach the bakery's orders."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from bakery.models import CakeOrder
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection
from django.db.models import QuerySet
from django.db.transaction import TransactionManagementError, atomic
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language

from shop.models import CURRENCY, Order, OrderLine
from shop.outcomes import OrderNotCancellable, PaidOutcome

UNDO_WITHIN = timedelta(minutes=15)


def bill(ordered: CakeOrder) -> Order:
    """Write the bill of a new order; M-PESA takes whole shillings, so cents are rounded up."""
    each = math.ceil(ordered.price)
    owed = Order.objects.create(
        cake_order=ordered,
        amount=each * ordered.pieces,
        customer_name=ordered.customer,
        customer_email=ordered.email,
        language=get_language() or "en",
    )
    OrderLine.objects.create(order=owed, name=ordered.cake, unit_price=each, quantity=ordered.pieces)
    return owed


def mark_paid(order_id: UUID, amount: int) -> PaidOutcome:
    """Add `amount` (whole KES) to what has arrived; once it is enough, bill and cake are paid.

    Payments calls it inside the transaction that records the money, with the bill's row locked: both stand or neither.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("mark_paid belongs into the transaction that records the payment.")
    order = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order_id)
    was_open, now = order.status == Order.Status.OPEN, timezone.now()
    order.amount_paid += amount
    if was_open and order.amount_paid >= order.amount:
        order.status, order.paid_at = Order.Status.PAID, now
        CakeOrder.objects.filter(pk=order.cake_order_id).update(state=CakeOrder.State.PAID, paid_on=now)
    order.save(update_fields=["amount_paid", "status", "paid_at"])
    return _outcome(order, was_open=was_open)


def _outcome(order: Order, *, was_open: bool) -> PaidOutcome:
    if order.status == Order.Status.CANCELLED:
        return PaidOutcome.AFTER_CANCEL
    if order.status == Order.Status.OPEN:
        return PaidOutcome.PARTLY
    if not was_open:
        return PaidOutcome.SURPLUS
    return PaidOutcome.PAID if order.amount_paid == order.amount else PaidOutcome.OVERPAID


def cancel_order(order: Order) -> None:
    """Call an unpaid order off; raises `OrderNotCancellable`. The lock is the one that a new payment takes first."""
    with atomic():
        locked = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order.pk)
        asked = locked.transactions.filter(status="PENDING", environment=settings.MPESA_ENVIRONMENT).exists()
        if locked.status == Order.Status.PAID or locked.amount_paid or asked:
            raise OrderNotCancellable("Money has come for this order, or is being asked for.")
        Order.objects.filter(pk=order.pk).update(status=Order.Status.CANCELLED)
        CakeOrder.objects.filter(pk=locked.cake_order_id).update(state=CakeOrder.State.CALLED_OFF)
    order.refresh_from_db()


def place_counter_sale(amount: int, *, what: str = "", sold_by: AbstractBaseUser | None = None) -> Order:
    """Write down what somebody at the counter has in the hand already; `amount`: whole KES."""
    with atomic():
        taken = CakeOrder.objects.create(customer="At the counter", cake=what or "Cake", price=Decimal(amount))
        owed = bill(taken)
        Order.objects.filter(pk=owed.pk).update(fulfilment=Order.Fulfilment.HANDED_OVER)
    return owed


def order_document(order: Order) -> dict[str, Any]:
    """Return the order as `GET /api/orders/<order_id>/` shows it; amounts in whole KES."""
    return {
        "order_id": str(order.pk),
        "amount": order.amount,
        "amount_paid": order.amount_paid,
        "amount_due": order.amount_due,
        "currency": CURRENCY,
        "status": order.status,
        "url": f"{settings.PUBLIC_BASE_URL}{reverse('order', args=[order.pk])}",
    }


_BEFORE = {Order.Fulfilment.PACKED: Order.Fulfilment.TO_PACK, Order.Fulfilment.HANDED_OVER: Order.Fulfilment.PACKED}


def take_step(order_id: UUID, step: Order.Fulfilment) -> bool:
    """Note that a paid order was packed, or handed over; False when it is not where that step begins."""
    ready = Order.objects.filter(pk=order_id, status=Order.Status.PAID, fulfilment=_BEFORE[step])
    return _move(ready, step, **{f"{step}_at": timezone.now()})


def take_step_back(order_id: UUID, step: Order.Fulfilment) -> bool:
    """Undo that while it is fresh; False when it is not, or not where it is."""
    fresh = {f"{step}_at__gt": timezone.now() - UNDO_WITHIN}
    return _move(Order.objects.filter(pk=order_id, fulfilment=step, **fresh), _BEFORE[step], **{f"{step}_at": None})


def _move(orders: QuerySet[Order], to: Order.Fulfilment, **moment: Any) -> bool:
    """Move the order in one guarded UPDATE: of two people who press at once, one moves it."""
    return bool(orders.update(fulfilment=to, **moment))
