"""How an order is paid by hand, and a customer who says: I have paid, here is the SMS. For pages and for programs."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from jsonhttp import Problem, json_route, read_json
from middleware import client_address
from pages import capability, capability_page
from payments.c2b import rescue
from payments.c2b.announced import announced
from payments.models import payments_of
from payments.views.naming import order_named, parse_uuid
from shop.limits import TooOften, unknown_page
from shop.limits import problem as too_often
from shop.models import CURRENCY, Order


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
        payment = payments_of(order).filter(pk=parse_uuid(request.POST.get("payment", ""))).first()
    except ValueError:
        payment = None
    if payment is not None:
        url = reverse("payment", args=[payment.pk])
    return HttpResponseRedirect(f"{url}?told={told}#by-hand", status=303)


@json_route("GET", "POST")
def api_by_hand(request: HttpRequest, order_id: str) -> HttpResponse:
    """GET: what to type on the phone to pay the order by hand. POST: the SMS or its code; 202 whatever it is worth."""
    order = order_named(request, order_id)
    return capability(_take_code(request, order) if request.method == "POST" else _instructions(order))


def _instructions(order: Order) -> HttpResponse:
    till, told = settings.MPESA_TILL_NUMBER, announced(order)
    return JsonResponse(
        {
            "order_id": str(order.pk),
            "kind": "till" if till else "pay_bill",
            "business_number": till or settings.MPESA_SHORTCODE,
            "account_number": None if till else order.account_number,
            "amount_due": order.amount_due if order.status == Order.Status.OPEN else 0,
            "currency": CURRENCY,
            "checking": {"amount": told.amount, "seconds": told.seconds} if told and told.seconds else None,
        }
    )


def _take_code(request: HttpRequest, order: Order) -> HttpResponse:
    typed = read_json(request).get("sms")
    code = rescue.code_in(typed) if isinstance(typed, str) else ""
    if not code:
        raise Problem(400, "no_code", _("We find no M-PESA code in this."), field="sms")
    try:
        rescue.claim(order, code, address=client_address(request))
    except TooOften as refusal:
        raise too_often(refusal) from refusal
    return JsonResponse({"order_id": str(order.pk), "detail": _("We are looking for this payment.")}, status=202)
