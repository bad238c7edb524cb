"""The counter: an amount and a phone, and the page that shows staff and customer the same truth."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from pages import capability
from payments.admin.common import AmountField, user_of
from payments.desk.acts import ActRefused, prompt
from payments.documents import facts
from payments.models import Action, Transaction, payments_of
from payments.phone_numbers import LONGEST_TYPED, InvalidPhoneNumber, normalise_phone_number
from payments.receipts import qr_code
from payments.remembered import remember_typed
from payments.views.page import screen_for
from shop.models import Order
from shop.orders import cancel_order, place_counter_sale
from shop.outcomes import OrderNotCancellable

LOOK_AGAIN_AFTER = 3  # seconds: a code that nobody has scanned yet


class CounterForm(forms.Form):
    """What staff type; without a phone the customer scans a code instead."""

    amount = AmountField(label=gettext_lazy("Amount in KES"), autofocus=True)
    phone_number = forms.CharField(
        label=gettext_lazy("Customer's M-PESA number"),
        required=False,
        max_length=LONGEST_TYPED,
        help_text=gettext_lazy("Leave it empty to show a code that the customer scans."),
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    what = forms.CharField(
        label=gettext_lazy("What is it for?"),
        required=False,
        max_length=80,
        help_text=gettext_lazy("The customer reads it on the receipt. May stay empty."),
    )

    def clean_phone_number(self) -> str:
        typed = self.cleaned_data["phone_number"]
        try:
            return normalise_phone_number(typed) if typed else ""
        except InvalidPhoneNumber:
            raise forms.ValidationError(_("Enter a Safaricom number, like 0712 345 678.")) from None


def _may_use_counter(request: HttpRequest) -> None:
    if not request.user.has_perm("payments.use_counter"):
        raise PermissionDenied


@require_http_methods(["GET", "HEAD", "POST"])
def counter(request: HttpRequest) -> HttpResponse:
    """Take an amount and a phone, prompt it, and go to the page that follows the payment."""
    _may_use_counter(request)
    form = CounterForm(request.POST if request.method == "POST" else None)
    if not (form.is_bound and form.is_valid()):
        return _form_page(request, form, status=400 if form.is_bound else 200)
    said = form.cleaned_data
    order = place_counter_sale(said["amount"], what=said["what"], sold_by=user_of(request))
    if not said["phone_number"]:
        return _see_other("counter_order", order.pk)
    try:
        prompted = prompt(order.pk, said["phone_number"], by=user_of(request), action=Action.COUNTER)
    except ActRefused as refusal:
        _forget(order)
        form.add_error("phone_number", refusal.detail)
        return _form_page(request, form, status=409)
    # As the customer's own page does: the number reads as it was said, and "Try again" asks the same phone.
    remember_typed(request.session, prompted.payment.pk, form.data["phone_number"])
    return _see_other("counter_payment", prompted.payment.pk)


def _form_page(request: HttpRequest, form: CounterForm, *, status: int) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": _("Counter"), "form": form}
    response = render(request, "payments/admin/counter.html", context, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _see_other(name: str, key: UUID) -> HttpResponse:
    return HttpResponseRedirect(reverse(name, args=[key]), status=303)


def _forget(order: Order) -> None:
    """Cancel a sale for which no prompt went out; should money have come all the same, it stays as it is."""
    with contextlib.suppress(OrderNotCancellable):
        cancel_order(order)


@require_GET
def counter_payment(request: HttpRequest, transaction_id: UUID) -> HttpResponse:
    """Show the customer's own live page, with the way to the next customer."""
    _may_use_counter(request)
    mine = Transaction.objects.select_related("order").filter(environment=settings.MPESA_ENVIRONMENT)
    payment = get_object_or_404(mine, pk=transaction_id)
    context = {"payment": screen_for(request, facts(payment)), "order": payment.order}
    return capability(render(request, "payments/admin/counter_payment.html", context))


@require_GET
def counter_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Show an order's code until somebody has begun to pay it, then that payment."""
    _may_use_counter(request)
    order = get_object_or_404(Order, pk=order_id)
    payments = payments_of(order)
    payment = payments.filter(status="COMPLETED").first() or payments.order_by("-created_at").first()
    if payment:
        return _see_other("counter_payment", payment.pk)
    url = f"{settings.PUBLIC_BASE_URL}{reverse('order', args=[order.pk])}"
    context: dict[str, Any] = {"order": order, "url": url, "qr_code": qr_code(url)}
    if request.headers.get("X-Fragment"):
        return capability(render(request, "payments/admin/_counter_order.html", context))
    title = _("Scan to pay KES %(amount)s") % {"amount": f"{order.amount_due:,}"}
    context |= {**admin.site.each_context(request), "title": title, "look_again_after": LOOK_AGAIN_AFTER}
    return capability(render(request, "payments/admin/counter_order.html", context))
