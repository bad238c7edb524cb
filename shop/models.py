"""What is sold: products, and orders with the prices of their day. Every amount is in whole KES."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

import shop.request_models  # noqa: F401 - where Django looks for models

CURRENCY = "KES"
LARGEST_AMOUNT = 250_000  # KES, M-PESA's limit for one payment
LARGEST_QUANTITY = 99  # of one product in one order
MOST_LINES = 50  # in one order

# Without 0/O, 1/I/L, 5/S, 2/Z, 8/B and U/V: customers read these aloud and type them on a keypad.
UNMISTAKABLE = "34679ACDEFGHJKMNPQRTWXY"


def new_account_number() -> str:
    """Return eight unmistakable letters and digits by which a customer and the shop name an order."""
    return "".join(secrets.choice(UNMISTAKABLE) for _ in range(8))


class OrderIsFixed(Exception):
    """An order that somebody has begun to pay keeps its lines and its amount: they are what the payment is for."""


class Product(models.Model):
    sku = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=200, blank=True)
    price = models.PositiveIntegerField(help_text=_("Whole KES"))
    picture = models.CharField(max_length=80, blank=True, help_text=_("File name below static/catalogue/"))
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            models.CheckConstraint(condition=Q(price__range=(1, LARGEST_AMOUNT)), name="product_price_within_mpesa")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def picture_url(self) -> str:
        """Empty when there is no such file: a slip in the admin must not take the whole catalogue down."""
        try:
            return static(f"catalogue/{self.picture}") if self.picture else ""
        except ValueError:
            return ""


class Order(models.Model):
    """What one customer owes: lines and amount as they were when it was placed.

    `id` is a capability: who holds it may read and pay the order. `status` and `fulfilment` are written only in
    shop/orders.py; the second is what becomes of the goods once the first is PAID.
    """

    class Status(models.TextChoices):
        OPEN = "OPEN", _("Open")
        PAID = "PAID", _("Paid")
        CANCELLED = "CANCELLED", _("Cancelled")

    class Fulfilment(models.TextChoices):
        TO_PACK = "to_pack", _("To be packed")
        PACKED = "packed", _("Packed")
        HANDED_OVER = "handed_over", _("Handed over")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account_number = models.CharField(max_length=8, unique=True, default=new_account_number, editable=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN, editable=False)
    amount = models.PositiveIntegerField(help_text=_("Whole KES"))
    amount_paid = models.PositiveIntegerField(default=0, editable=False, help_text=_("Whole KES, all that arrived"))
    customer_name = models.CharField(max_length=80, blank=True)
    customer_email = models.EmailField(blank=True)
    language = models.CharField(max_length=5, default="en", editable=False, help_text=_("That it was placed in"))
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, editable=False)
    fulfilment = models.CharField(max_length=11, choices=Fulfilment.choices, default=Fulfilment.TO_PACK, editable=False)
    packed_at = models.DateTimeField(null=True, editable=False)
    handed_over_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        permissions = [("fulfil_order", "Can pack orders and hand them over")]
        indexes = [
            # What the order desk shows: the waiting ones, the longest first, and those that have just left.
            models.Index(
                fields=["paid_at"], condition=Q(status="PAID") & ~Q(fulfilment="handed_over"), name="orders_waiting"
            ),
            models.Index(
                fields=["handed_over_at"], condition=Q(handed_over_at__isnull=False), name="orders_handed_over"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__range=(1, LARGEST_AMOUNT)), name="order_amount_within_mpesa"),
            models.CheckConstraint(
                condition=~Q(status="PAID") | Q(amount_paid__gte=F("amount")), name="order_paid_in_full"
            ),
        ]

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and self.is_fixed and self._amount_differs():
            raise OrderIsFixed(f"Order {self.number} has a payment; its amount stays.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.is_fixed:
            raise OrderIsFixed(f"Order {self.number} has a payment; it is kept.")
        return super().delete(*args, **kwargs)

    def _amount_differs(self) -> bool:
        return not Order.objects.filter(pk=self.pk, amount=self.amount).exists()

    @property
    def is_fixed(self) -> bool:
        """Whether a payment was ever begun for it, whatever became of that."""
        return self.transactions.exists()

    @property
    def number(self) -> str:
        """The account number as people write it: 7QK3-M9TX."""
        return f"{self.account_number[:4]}-{self.account_number[4:]}"

    @property
    def amount_due(self) -> int:
        """Whole KES still owed; never negative."""
        return max(0, self.amount - self.amount_paid)


class OrderLineQuerySet(models.QuerySet[Any]):
    """Refuses what would go round `OrderLine.save` and `delete`."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        lines = list(objs)
        _refuse_fixed(Order.objects.filter(pk__in={line.order_id for line in lines}))
        return super().bulk_create(lines, *args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        _refuse_fixed(Order.objects.filter(lines__in=self.values("pk")))
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        _refuse_fixed(Order.objects.filter(lines__in=self.values("pk")))
        return super().delete()


def _refuse_fixed(orders: models.QuerySet[Order]) -> None:
    if orders.filter(transactions__isnull=False).exists():
        raise OrderIsFixed("The order has a payment; its lines stay.")


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    name = models.CharField(max_length=80)
    unit_price = models.PositiveIntegerField(help_text=_("Whole KES, copied when the order was placed"))
    quantity = models.PositiveSmallIntegerField()

    objects = OrderLineQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="order_line_once_per_product"),
            models.CheckConstraint(condition=Q(quantity__range=(1, LARGEST_QUANTITY)), name="order_line_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._refuse_fixed()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self._refuse_fixed()
        return super().delete(*args, **kwargs)

    def _refuse_fixed(self) -> None:
        """Look at the order the line is stored with as well: moving a line away changes that one too."""
        stored = OrderLine.objects.filter(pk=self.pk).values("order_id")
        _refuse_fixed(Order.objects.filter(Q(pk=self.order_id) | Q(pk__in=stored)))

    @property
    def total(self) -> int:
        """Whole KES."""
        return self.unit_price * self.quantity


class CounterSale(models.Model):
    """What makes an order of an amount that staff typed at the counter: it has no lines, and its goods are gone."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, primary_key=True, related_name="counter_sale")
    what = models.CharField(max_length=80, blank=True, help_text=_("As the customer reads it"))
    sold_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    def __str__(self) -> str:
        return self.what or str(_("Bought at the counter"))
