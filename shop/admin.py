"""The staff's view of the shop: products are theirs to change, what was ordered and paid is not."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from shop.models import Order, OrderLine, Product

_NUMBER = re.compile(r"\w{4}-\w{4}")  # as an order wears it

LINE = ("product", "name", "unit_price", "quantity", "total")
DETAILS = ("customer_name", "customer_email")  # all that staff may change of an order


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "sku", "price", "is_active", "position"]
    list_filter = ["is_active"]
    search_fields = ["name", "sku"]


class ReadOnly:
    """Nothing is added, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OrderLineInline(ReadOnly, admin.TabularInline):
    model = OrderLine
    extra = 0
    fields = LINE
    readonly_fields = LINE

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["number", "created_at", "status", "fulfilment", "amount", "amount_paid", "customer_name"]
    list_filter = ["status", "fulfilment", "created_at"]
    search_fields = ["account_number", "id", "customer_name", "customer_email"]
    search_help_text = _("Order number, id, name or e-mail")
    readonly_fields = [
        "number",
        "id",
        "status",
        "amount",
        "amount_paid",
        "amount_due",
        "created_at",
        "paid_at",
        "cancelled_at",
        "fulfilment",
    ]
    fields = [*readonly_fields, *DETAILS]
    inlines = [OrderLineInline]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find an order by its number as people write and say it: 7qk3-m9tx."""
        words = [word.replace("-", "") if _NUMBER.fullmatch(word) else word for word in search_term.split()]
        return super().get_search_results(request, queryset, " ".join(words))

    def save_model(self, request: HttpRequest, obj: Order, form: Any, change: bool) -> None:
        # Only what was edited: a full save would write back the status and the money of when the form was opened.
        changed = [name for name in form.changed_data if name in DETAILS]
        if changed:
            obj.save(update_fields=changed)
