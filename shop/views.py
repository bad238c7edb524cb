"""The shop's pages, all of which work without JavaScript, and its two JSON routes."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db.transaction import atomic
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jsonhttp import json_route, read_json
from pages import capability, capability_page
from shop import idempotency, limits
from shop.cart import Cart
from shop.forms import BasketItemForm, CheckoutForm, bad_item, read_items
from shop.models import CURRENCY, Order, Product
from shop.orders import OrderRefused, cancel_order, order_document, place_order
from shop.outcomes import OrderNotCancellable

PLACED_KEY = "placed_orders"
PLACED_KEPT = 50  # a session


# Programs -------------------------------------------------------------------------------------------------------


@json_route("GET")
def api_products(request: HttpRequest) -> HttpResponse:
    """List what is sold; prices in whole KES."""
    sold = Product.objects.filter(is_active=True).values("sku", "name", "price")
    return JsonResponse([{**product, "currency": CURRENCY} for product in sold], safe=False)


@json_route("POST")
def create_order(request: HttpRequest) -> HttpResponse:
    """Place an order of what the JSON body names."""
    items = read_items(read_json(request))
    with idempotency.claim(request, "orders", items) as claim:
        order = Order.objects.get(pk=claim.answered[1]["order_id"]) if claim.answered else _place(request, items, claim)
    location = f"{reverse('api_orders')}{order.pk}/"
    return capability(JsonResponse(order_document(order), status=201, headers={"Location": location}))


def _place(request: HttpRequest, items: list[tuple[str, int]], claim: idempotency.Claim) -> Order:
    """Place the order and keep its id in one transaction: a repetition after a crash must not place another."""
    try:
        with atomic():
            limits.count_order(request)
            order = place_order(items)
            if not claim.keep(201, {"order_id": str(order.pk)}):
                raise idempotency.still_running()  # this one stood still for so long that another has the key
    except OrderRefused as refusal:
        raise bad_item(refusal.field, refusal.detail) from refusal
    except limits.TooOften as refusal:
        raise limits.problem(refusal) from refusal
    return order


# Choosing -------------------------------------------------------------------------------------------------------


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    cart = Cart(request.session)
    in_basket = {line.product.pk: line.quantity for line in cart}
    products = list(Product.objects.filter(is_active=True))
    shelf = [{"product": product, "in_basket": in_basket.get(product.pk, 0)} for product in products]
    return render(request, "shop/catalogue.html", {"shelf": shelf, "cart": cart})


@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    return _cart_page(request, CheckoutForm())


def _cart_page(request: HttpRequest, form: CheckoutForm, *, error: str = "", status: int = 200) -> HttpResponse:
    context = {"cart": Cart(request.session), "form": form, "error": error}
    return render(request, "shop/cart.html", context, status=status)


@require_POST
def cart_add(request: HttpRequest) -> HttpResponse:
    """Put one product into the basket and come back to where it stands on the shelf."""
    product, quantity = _chosen(request)
    if not Cart(request.session).add(product.sku, quantity):
        messages.error(request, _("The basket holds no more of this."))
    return _see_other(f"{reverse('catalogue')}#{product.sku}")


@require_POST
def cart_change(request: HttpRequest) -> HttpResponse:
    """Set how many of one product are in the basket."""
    product, quantity = _chosen(request)
    if not Cart(request.session).change(product.sku, quantity):
        messages.error(request, _("The basket is full."))
    return _see_other(reverse("cart"))


def _chosen(request: HttpRequest) -> tuple[Product, int]:
    """Return what a button of ours names; whatever else is posted gets 400 or 404."""
    form = BasketItemForm({"sku": request.POST.get("sku"), "quantity": request.POST.get("quantity", "1")})
    if not form.is_valid():
        raise BadRequest("not from our buttons")
    return get_object_or_404(Product, sku=form.cleaned_data["sku"], is_active=True), form.cleaned_data["quantity"]


# Ordering -------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """Make the basket an order; an empty one is the second tap on the button, so it leads to what the first made.

    Who only opens the address, from the address bar or after a form was refused, finds the form on the basket's page.
    """
    if request.method != "POST":
        return _see_other(reverse("cart"))
    basket, form = Cart(request.session), CheckoutForm(request.POST)
    placed = request.session.get(PLACED_KEY, [])
    if not basket:
        return _see_other(reverse("order", args=[placed[-1]]) if placed else reverse("cart"))
    if not form.is_valid():
        return _cart_page(request, form, status=400)
    try:
        order_id = _order_of_basket(request, basket, form)
    except OrderRefused as refusal:
        return _cart_page(request, form, error=refusal.detail, status=400)
    except limits.TooOften as refusal:
        response = _cart_page(request, form, error=limits.calm_words(), status=429)
        response.headers["Retry-After"] = str(refusal.retry_after)
        return response
    request.session[PLACED_KEY] = [*placed, order_id][-PLACED_KEPT:]
    basket.clear()
    return _see_other(reverse("order", args=[order_id]))


def _order_of_basket(request: HttpRequest, basket: Cart, form: CheckoutForm) -> str:
    """Return the id of the order of this basket, placed now unless a tap at the same moment has placed it."""
    items = hashlib.sha256(json.dumps(basket.items).encode()).hexdigest()[:16]
    name = basket.id or request.session.session_key
    with idempotency.once("checkout", f"{name}.{items}") as claim:
        if claim.answered is None:
            limits.count_order(request)
            order = place_order(basket.items, **form.cleaned_data)
            claim.keep(303, {"order_id": str(order.pk)})
            return str(order.pk)
        return str(claim.answered[1]["order_id"])


@require_safe
@capability_page
def order(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Show an order to whoever holds its address; name and e-mail only to the session that placed it."""
    found = Order.objects.filter(pk=order_id).first()
    return _order_page(request, found) if found else limits.unknown_page(request)


@require_POST
@capability_page
def order_cancel(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Cancel an order, or say why not."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return limits.unknown_page(request)
    try:
        cancel_order(order)
    except OrderNotCancellable as refusal:
        return _order_page(request, order, cancel_error=refusal.detail, status=409)
    return _see_other(reverse("order", args=[order.pk]))


def _order_page(request: HttpRequest, order: Order, *, cancel_error: str = "", status: int = 200) -> HttpResponse:
    payments = list(order.transactions.filter(environment=settings.MPESA_ENVIRONMENT).order_by("created_at"))
    context: dict[str, Any] = {
        "order": order,
        "lines": order.lines.select_related("product"),
        "open_payment": next((payment for payment in payments if payment.status == "PENDING"), None),
        "under_review": next((payment for payment in payments if payment.under_review), None),
        "paid_payments": [payment for payment in payments if payment.status == "COMPLETED"],
        "is_own": str(order.pk) in request.session.get(PLACED_KEY, []),
        "cancel_error": cancel_error,
        "by_hand_open": any(payment.status == "FAILED" for payment in payments),
        "cart": Cart(request.session),
    }
    return render(request, "shop/order.html", context, status=status)


def _see_other(url: str) -> HttpResponse:
    return HttpResponseRedirect(url, status=303)
