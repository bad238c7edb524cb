"""What an order's page says of its money, for the pages of any shop."""

from __future__ import annotations

from typing import Any

from django import template

from payments.c2b.announced import Announced
from payments.c2b.announced import announced as announced_by_hand
from payments.other_money import words_about_pause, words_about_unconfirmed
from payments.views.order_news import next_look
from shop.models import Order

register = template.Library()
register.simple_tag(words_about_pause)
register.simple_tag(words_about_unconfirmed)


@register.simple_tag
def announced(order: Order) -> Announced | None:
    """Return the payment by hand that the order waits for, if there is one."""
    return announced_by_hand(order)


@register.inclusion_tag("payments/_order_news.html")
def look_for_money(order: Order) -> dict[str, Any]:
    """Render the element that loads the page again when the order's money has changed."""
    return next_look(order)
