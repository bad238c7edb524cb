"""The customer's pages of a payment."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_POST, require_safe

from pages import capability
from payments import deliveries
from payments.asking import ask_for_customer
from payments.documents import Facts, facts
from payments.models import Status, Transaction
from payments.receipts import qr_code, receipt_url
from payments.remembered import typed_number
from payments.screen import screen, stopped
from shop.limits import unknown_page


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def screen_for(request: HttpRequest, about: Facts) -> dict[str, Any]:
    """Return the screen for this browser: with the number as it typed it, and as it chose to wait or not."""
    shown = screen(about)
    if "stopped" in request.GET:
        shown = stopped(shown)
    typed = typed_number(request.session, about["transaction_id"])
    own = shown["phone_shown"] if shown.get("paid_otherwise") else typed or shown["phone_shown"]
    return {**shown, "phone_shown": own, "phone_typed": typed}


# Compressed though it is secret: it repeats nothing of a request whose sender does not know its address already.
@gzip_page
@require_safe
def payment(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Show the customer's page, or only its live part to htmx."""
    found = _known(transaction_id)
    if found is None:
        return unknown_page(request)
    if found.status != Status.PENDING and request.method == "GET":  # the answer to HEAD shows nobody anything
        deliveries.note_sent(found.pk, found.version, deliveries.Channel.PAGE, watched=False)
    template = "payments/_status.html" if is_htmx(request) else "payments/payment.html"
    shown = screen_for(request, facts(found))
    context = {"payment": shown, "order": found.order, "by_hand_open": shown["state"] == "not_paid"}
    return capability(render(request, template, context))


@require_POST
def check(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Have M-PESA asked about a payment at the customer's wish, and lead back to its page, which hears the answer."""
    if _known(transaction_id) is None:
        return unknown_page(request)
    ask_for_customer(transaction_id)
    messages.info(request, _("We have asked M-PESA. The answer appears here."))
    return capability(HttpResponseRedirect(reverse("payment", args=[transaction_id]), status=303))


@gzip_page
@require_safe
def receipt(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Show the receipt of a paid payment, with the number masked: receipts are printed and passed on."""
    payment = _known(transaction_id)
    if payment is None:
        return unknown_page(request)
    url = receipt_url(payment)
    context = {"payment": screen(facts(payment)), "order": payment.order, "url": url, "qr_code": qr_code(url)}
    return capability(render(request, "payments/receipt.html", context))


def _known(transaction_id: uuid.UUID) -> Transaction | None:
    known = Transaction.objects.select_related("order").filter(environment=settings.MPESA_ENVIRONMENT)
    return known.filter(pk=transaction_id).first()
