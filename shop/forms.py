"""What customers and programs type, before it becomes an order."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jsonhttp import Problem
from shop.models import LARGEST_QUANTITY


class BasketItemForm(forms.Form):
    """One button of the catalogue or the basket."""

    sku = forms.SlugField(max_length=40)
    quantity = forms.IntegerField(min_value=0, max_value=LARGEST_QUANTITY)


class CheckoutForm(forms.Form):
    """Who orders, if they care to say."""

    customer_name = forms.CharField(label=gettext_lazy("Your name"), max_length=80, required=False)
    customer_email = forms.EmailField(label=gettext_lazy("E-mail for the receipt"), max_length=254, required=False)


def read_items(body: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the (SKU, quantity) pairs of an order in JSON; raises `Problem` 400 that names the field."""
    items = body.get("items")
    if not isinstance(items, list):
        raise bad_item("items", _("items must be a list of objects with sku and quantity."))
    return [_read_item(f"items[{index}]", item) for index, item in enumerate(items)]


def _read_item(field: str, item: object) -> tuple[str, int]:
    if not isinstance(item, dict):
        raise bad_item(field, _("An item is an object with sku and quantity."))
    sku, quantity = item.get("sku"), item.get("quantity")
    if not isinstance(sku, str):
        raise bad_item(f"{field}.sku", _("The SKU must be a text."))
    # bool is an int to Python; to a customer `true` is no quantity.
    if not isinstance(quantity, int) or isinstance(quantity, bool):
        detail = _("The quantity must be a whole number from 1 to %(most)d.") % {"most": LARGEST_QUANTITY}
        raise bad_item(f"{field}.quantity", detail)
    return sku, quantity


def bad_item(field: str, detail: str) -> Problem:
    return Problem(400, "bad_input", detail, field=field)
