"""The bakery's orders, as it kept them before it took M-PESA; nothing here knows of Papo."""

from __future__ import annotations

from django.db import models


class CakeOrder(models.Model):
    class State(models.TextChoices):
        NEW = "new"
        PAID = "paid"
        CALLED_OFF = "called_off"

    customer = models.CharField(max_length=80)
    email = models.EmailField(blank=True)
    cake = models.CharField(max_length=80)
    pieces = models.PositiveSmallIntegerField(default=1)
    price = models.DecimalField(max_digits=9, decimal_places=2, help_text="KES for one")
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    paid_on = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.pieces} × {self.cake} for {self.customer}"
