"""A customer says: I have paid, here is the SMS."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from middleware import client_address
from pages import capability_page
from payments.c2b import rescue
from payments.views.naming import parse_uuid
from shop.limits import TooOften, unknown_page
from shop.models import Order


@require_POST
@capability_page
def paid_by_hand(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Take the SMS or its code, and lead back to the page it came from: it follows by itself, and tells no more."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return unknown_page(request)
    code = rescue.code_in(request.POST.get("sms", ""))
    if not code:
        return _back(request, order, "no_code")
    try:
        rescue.claim(order, code, address=client_address(request))
    except TooOften:
        return _back(request, order, "often")
    return _back(request, order, "looking")


def _back(request: HttpRequest, order: Order, told: str) -> HttpResponse:
    """Return to the payment's page, if that was one of this order's, else to the order's."""
    url = reverse("order", args=[order.pk])
    try:
        payment = order.transactions.filter(pk=parse_uuid(request.POST.get("payment", ""))).first()
    except ValueError:
        payment = None
    if payment is not None:
        url = reverse("payment", args=[payment.pk])
    return HttpResponseRedirect(f"{url}?told={told}#by-hand", status=303)
