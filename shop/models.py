"""What is sold: products, and orders with the prices of their day. Every amount is in whole KES."""

from __future__ import annotations

import secrets
import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

CURRENCY = "KES"
LARGEST_AMOUNT = 250_000  # KES, M-PESA's limit for one payment
LARGEST_QUANTITY = 99  # of one product in one order

# Without 0/O, 1/I/L, 5/S, 2/Z, 8/B and U/V: customers read these aloud and type them on a keypad.
UNMISTAKABLE = "34679ACDEFGHJKMNPQRTWXY"


def new_account_number() -> str:
    """Return eight unmistakable letters and digits by which a customer and the shop name an order."""
    return "".join(secrets.choice(UNMISTAKABLE) for _ in range(8))


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
        constraints = [
            models.CheckConstraint(condition=Q(price__range=(1, LARGEST_AMOUNT)), name="product_price_within_mpesa")
        ]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """What one customer owes: lines and amount as they were when it was placed.

    `id` is a capability: who holds it may read and pay the order. `status` is written only in shop/orders.py.
    """

    class Status(models.TextChoices):
        OPEN = "OPEN", _("Open")
        PAID = "PAID", _("Paid")
        CANCELLED = "CANCELLED", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account_number = models.CharField(max_length=8, unique=True, default=new_account_number, editable=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN, editable=False)
    amount = models.PositiveIntegerField(help_text=_("Whole KES"))
    amount_paid = models.PositiveIntegerField(default=0, editable=False, help_text=_("Whole KES, all that arrived"))
    customer_name = models.CharField(max_length=80, blank=True)
    customer_email = models.EmailField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__range=(1, LARGEST_AMOUNT)), name="order_amount_within_mpesa"),
            models.CheckConstraint(
                condition=~Q(status="PAID") | Q(amount_paid__gte=F("amount")), name="order_paid_in_full"
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """The account number as people write it: 7QK3-M9TX."""
        return f"{self.account_number[:4]}-{self.account_number[4:]}"

    @property
    def amount_due(self) -> int:
        """Whole KES still owed; never negative."""
        return max(0, self.amount - self.amount_paid)


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    name = models.CharField(max_length=80)
    unit_price = models.PositiveIntegerField(help_text=_("Whole KES, copied when the order was placed"))
    quantity = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="order_line_once_per_product"),
            models.CheckConstraint(condition=Q(quantity__range=(1, LARGEST_QUANTITY)), name="order_line_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"

    @property
    def total(self) -> int:
        """Whole KES."""
        return self.unit_price * self.quantity
