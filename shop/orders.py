"""What happens to an order: the only module that writes `Order.status`.

OPEN ──▶ PAID         enough money has arrived
  └────▶ CANCELLED    nobody is paying; money that still arrives is counted and changes nothing

Beside it, of a PAID order, what becomes of the goods: to be packed ──▶ packed ──▶ handed over. A press by mistake is
taken back within a quarter of an hour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.transaction import TransactionManagementError, atomic
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from prepared import Update, given
from shop.models import CURRENCY, LARGEST_AMOUNT, LARGEST_QUANTITY, MOST_LINES, CounterSale, Order, OrderLine, Product
from shop.outcomes import OrderNotCancellable, PaidOutcome

log = structlog.get_logger(__name__)

UNDO_WITHIN = timedelta(minutes=15)

_STEP_BEFORE = {
    Order.Fulfilment.PACKED: Order.Fulfilment.TO_PACK,
    Order.Fulfilment.HANDED_OVER: Order.Fulfilment.PACKED,
}
_MOMENTS = {Order.Fulfilment.PACKED: "packed_at", Order.Fulfilment.HANDED_OVER: "handed_over_at"}
_SKU = re.compile(r"[-a-zA-Z0-9_]{1,40}")


class OrderRefused(Exception):
    """These items make no order; `field` names the one to blame as the API does: `items`, `items[0].quantity`."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field, self.detail = field, detail


def place_order(items: Iterable[tuple[str, int]], *, customer_name: str = "", customer_email: str = "") -> Order:
    """Write an order of (SKU, quantity) at the prices of this moment; raises `OrderRefused`."""
    items = list(items)
    _check_items(items)
    products = _find_products(items)
    lines = [
        OrderLine(product=product, name=product.name, unit_price=product.price, quantity=quantity)
        for product, (_sku, quantity) in zip(products, items, strict=True)
    ]
    amount = sum(line.total for line in lines)
    if amount > LARGEST_AMOUNT:
        detail = _("An order may come to at most KES %(most)s, which is the most that M-PESA takes at once.")
        raise OrderRefused("items", detail % {"most": f"{LARGEST_AMOUNT:,}"})
    customer = {"customer_name": customer_name, "customer_email": customer_email, "language": get_language() or "en"}
    order = Order(amount=amount, **customer)
    _write(order, lines)
    log.info("order.placed", order_id=str(order.pk), amount=amount, lines=len(lines))
    return order


def _check_items(items: Sequence[tuple[str, int]]) -> None:
    if not items:
        raise OrderRefused("items", _("An order needs at least one item."))
    if len(items) > MOST_LINES:
        detail = ngettext("An order has at most %(most)d item.", "An order has at most %(most)d items.", MOST_LINES)
        raise OrderRefused("items", detail % {"most": MOST_LINES})
    seen: set[str] = set()
    for index, (sku, quantity) in enumerate(items):
        if sku in seen:
            raise OrderRefused(f"items[{index}].sku", _("This item is already in the order; change its quantity."))
        if not 1 <= quantity <= LARGEST_QUANTITY:
            detail = _("The quantity must be a whole number from 1 to %(most)d.") % {"most": LARGEST_QUANTITY}
            raise OrderRefused(f"items[{index}].quantity", detail)
        seen.add(sku)


def _find_products(items: Sequence[tuple[str, int]]) -> list[Product]:
    # PostgreSQL refuses a NUL inside a text with an error of its own: ask it only for what can be a SKU.
    skus = [sku for sku, _quantity in items if _SKU.fullmatch(sku)]
    found = {product.sku: product for product in Product.objects.filter(sku__in=skus, is_active=True)}
    for index, (sku, _quantity) in enumerate(items):
        if sku not in found:
            raise OrderRefused(f"items[{index}].sku", _("The shop does not sell this item."))
    return [found[sku] for sku, _quantity in items]


def _write(order: Order, lines: list[OrderLine]) -> None:
    with atomic():
        order.save(force_insert=True)
        for line in lines:
            line.order = order
        OrderLine.objects.bulk_create(lines)


def place_counter_sale(amount: int, *, what: str = "", sold_by: AbstractBaseUser | None = None) -> Order:
    """Write an order of an amount (whole KES) without lines, for goods that the customer has in the hand already.

    Raises `OrderRefused` for what M-PESA does not take at once.
    """
    if not 1 <= amount <= LARGEST_AMOUNT:
        detail = _("The amount must be from KES 1 to KES %(most)s.") % {"most": f"{LARGEST_AMOUNT:,}"}
        raise OrderRefused("amount", detail)
    with atomic():
        order = Order.objects.create(
            amount=amount, language=get_language() or "en", fulfilment=Order.Fulfilment.HANDED_OVER
        )
        CounterSale.objects.create(order=order, what=what, sold_by_id=sold_by.pk if sold_by else None)
    log.info("order.placed_at_counter", order_id=str(order.pk), amount=amount)
    return order


def take_step(order_id: UUID, step: Order.Fulfilment) -> bool:
    """Note that a paid order was packed, or handed over; False when it is not where that step begins."""
    ready = Order.objects.filter(pk=order_id, status=Order.Status.PAID, fulfilment=_STEP_BEFORE[step])
    return _move(ready, step, timezone.now(), moment_of=step)


def take_step_back(order_id: UUID, step: Order.Fulfilment) -> bool:
    """Undo the packing or handing over of an order while that is fresh; False when it is not, or not where it is."""
    fresh = Order.objects.filter(
        pk=order_id, fulfilment=step, **{f"{_MOMENTS[step]}__gt": timezone.now() - UNDO_WITHIN}
    )
    return _move(fresh, _STEP_BEFORE[step], None, moment_of=step)


def _move(orders: QuerySet[Order], to: Order.Fulfilment, at: datetime | None, *, moment_of: Order.Fulfilment) -> bool:
    """Move the order in one guarded UPDATE: of two people who press at once, one moves it."""
    return bool(orders.update(fulfilment=to, **{_MOMENTS[moment_of]: at}))


def mark_paid(order_id: UUID, amount: int) -> PaidOutcome:
    """Add `amount` (whole KES) to what has arrived for an order, and mark it paid once that is enough.

    Call it inside the transaction that records the payment: the one UPDATE keeps the row locked until that commits,
    so two payments at once see each other and exactly one of them is the one that paid.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("mark_paid belongs into the transaction that records the payment.")
    order = _add_money.row(id=order_id, amount=amount, paid_at=timezone.now())
    if order is None:
        raise Order.DoesNotExist
    status, owed, paid = order
    outcome = _outcome(status, owed=owed, before=paid - amount, now=paid)
    if outcome != PaidOutcome.PAID:  # the rule, of which the payment's own line tells
        log.info("order.money_arrived", order_id=str(order_id), amount=amount, outcome=str(outcome))
    return outcome


def _changes_by_money() -> dict[str, Any]:
    arrived = F("amount_paid") + given(Order, "amount")
    is_enough = Q(status=Order.Status.OPEN, amount__lte=arrived)
    return {
        "amount_paid": arrived,
        "status": Case(When(is_enough, then=Value(Order.Status.PAID)), default=F("status")),
        "paid_at": Case(When(is_enough, then=given(Order, "paid_at")), default=F("paid_at")),
    }


_add_money = Update(
    lambda: Order.objects.filter(pk=given(Order, "id")),
    _changes_by_money,
    returning=("status", "amount", "amount_paid"),
)


def _outcome(status: str, *, owed: int, before: int, now: int) -> PaidOutcome:
    """Say what money meant for an order; `status` as it is now, KES that had come before and have come by now."""
    if status == Order.Status.CANCELLED:
        return PaidOutcome.AFTER_CANCEL
    if status == Order.Status.OPEN:
        return PaidOutcome.PARTLY
    if before >= owed:
        return PaidOutcome.SURPLUS
    return PaidOutcome.PAID if now == owed else PaidOutcome.OVERPAID


def cancel_order(order: Order) -> None:
    """Cancel an open order for which no money has come and none is being asked; raises `OrderNotCancellable`.

    The lock is the one that a new payment takes first, so neither can slip in behind the other's look.
    """
    with atomic():
        locked = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order.pk)
        if locked.status != Order.Status.CANCELLED:
            _refuse_cancel(locked)
            Order.objects.filter(pk=order.pk).update(status=Order.Status.CANCELLED, cancelled_at=timezone.now())
            log.info("order.cancelled", order_id=str(order.pk))
    order.refresh_from_db()


def _refuse_cancel(order: Order) -> None:
    if order.status == Order.Status.PAID:
        raise OrderNotCancellable(_("This order is already paid. To give it back, ask the shop."))
    if order.transactions.filter(status="PENDING", environment=settings.MPESA_ENVIRONMENT).exists():
        raise OrderNotCancellable(
            _("A payment for this order is open on a phone. Cancel the request there, or wait until it has ended.")
        )
    if order.amount_paid:
        raise OrderNotCancellable(_("Money has already arrived for this order. To cancel it, ask the shop."))


def order_document(order: Order) -> dict[str, Any]:
    """Return the order as the API shows it; amounts in whole KES."""
    return {
        "order_id": str(order.pk),
        "amount": order.amount,
        "amount_paid": order.amount_paid,
        "amount_due": order.amount_due,
        "currency": CURRENCY,
        "status": order.status,
        "url": f"{settings.PUBLIC_BASE_URL}{reverse('order', args=[order.pk])}",
    }
