"""Choose a cake, and see what became of the order."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db.transaction import atomic
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render

from bakery.models import CakeOrder
from shop.models import Order
from shop.orders import bill

CAKES = {"Mandazi": Decimal("20.00"), "Black forest": Decimal("2400.00")}


def counter(request: HttpRequest) -> HttpResponse:
    """Show the cakes; a POST orders one and leads to the page where it is paid."""
    if request.method != "POST":
        return render(request, "bakery/counter.html", {"cakes": CAKES})
    cake = request.POST.get("cake", "")
    if cake not in CAKES:
        return HttpResponseBadRequest("We do not bake that.")
    with atomic():
        ordered = CakeOrder.objects.create(customer=request.POST.get("customer", ""), cake=cake, price=CAKES[cake])
        owed = bill(ordered)
    return redirect("order", owed.pk)


def order(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Show an order by the unguessable id of its bill: what to pay, or that it is in the oven."""
    owed = get_object_or_404(Order.objects.select_related("cake_order"), pk=order_id)
    return render(request, "bakery/order.html", {"order": owed, "ordered": owed.cake_order})
