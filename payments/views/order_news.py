"""An open order's page looks again whether money has come: by hand there is no payment yet whose socket could tell."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from pages import capability_page
from payments.c2b.announced import news
from shop.limits import unknown_page
from shop.models import Order

# Seconds that a page has been open, and until then the seconds between two looks. Besides it looks whenever it comes
# to the front and when the network is back: whoever types on the phone for a while finds the truth at once.
LOOKS = ((120, 2), (900, 5))
LATER = 30


@require_safe
@capability_page
def order_news(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Have an order's page load itself again when its money has changed; 204 while it has not.

    When the pauses become longer, the answer is the element that looks, anew.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return unknown_page(request)
    look = next_look(order, opened_at=_moment(request.GET.get("opened", "")))
    if request.GET.get("seen") != look["news"]:
        return HttpResponse(headers={"HX-Refresh": "true"})
    if request.GET.get("every") == str(look["every"]):
        return HttpResponse(status=204)
    return render(request, "payments/_order_news.html", look)


def next_look(order: Order, *, opened_at: int | None = None) -> dict[str, Any]:
    """Return what the element that looks needs; `opened_at`: when its page was loaded, None: now."""
    now = int(time.time())
    opened_at = now if opened_at is None else opened_at
    every = next((pause for until, pause in LOOKS if now - opened_at < until), LATER)
    return {"order_id": order.pk, "news": news(order), "opened_at": opened_at, "every": every}


def _moment(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
