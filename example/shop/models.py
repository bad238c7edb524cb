"""What Papo's payments are for, in the place of Papo's own shop: one bill for each of the bakery's orders."""

from __future__ import annotations

import secrets
import uuid

from django.db import models

import shop.request_models  # noqa: F401 - where Django looks for models

CURRENCY = "KES"
LARGEST_AMOUNT = 250_000  # KES, M-PESA's limit for one payment
UNMISTAKABLE = "34679ACDEFGHJKMNPQRTWXY"  # letters and digits that nobody takes for others


def new_account_number() -> str:
    return "".join(secrets.choice(UNMISTAKABLE) for _ in range(8))


class Order(models.Model):
    """The bill of a CakeOrder: what is owed in whole KES, what has arrived, and under which unguessable id.

    Payments point here and ask by these names. `status` is written only in orders.py, the bakery's own `state` with it.
    """

    class Status(models.TextChoices):
        OPEN = "OPEN"
        PAID = "PAID"
        CANCELLED = "CANCELLED"

    class Fulfilment(models.TextChoices):
        TO_PACK = "to_pack", "To be packed"
        PACKED = "packed", "Packed"
        HANDED_OVER = "handed_over", "Handed over"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cake_order = models.OneToOneField("bakery.CakeOrder", on_delete=models.PROTECT, related_name="bill")
    account_number = models.CharField(max_length=8, unique=True, default=new_account_number, editable=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN, editable=False)
    amount = models.PositiveIntegerField()
    amount_paid = models.PositiveIntegerField(default=0, editable=False)
    customer_name = models.CharField(max_length=80, blank=True)
    customer_email = models.EmailField(blank=True)
    language = models.CharField(max_length=5, default="en", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, editable=False)
    fulfilment = models.CharField(max_length=11, choices=Fulfilment.choices, default=Fulfilment.TO_PACK)
    packed_at = models.DateTimeField(null=True, editable=False)
    handed_over_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        permissions = [("fulfil_order", "Can pack orders and hand them over")]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """The account number as people write it."""
        return f"{self.account_number[:4]}-{self.account_number[4:]}"

    @property
    def amount_due(self) -> int:
        """Whole KES still owed; never negative."""
        return max(0, self.amount - self.amount_paid)


class OrderLine(models.Model):
    """What receipts, the order desk and the takings by product name."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    name = models.CharField(max_length=80)
    unit_price = models.PositiveIntegerField()
    quantity = models.PositiveSmallIntegerField()

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"

    @property
    def total(self) -> int:
        """Whole KES."""
        return self.unit_price * self.quantity
