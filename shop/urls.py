"""The shop's routes; programs may leave the trailing slash of theirs away and are never redirected."""

from __future__ import annotations

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("cart/", views.cart, name="cart"),
    path("cart/add/", views.cart_add, name="cart_add"),
    path("cart/change/", views.cart_change, name="cart_change"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/<uuid:order_id>/", views.order, name="order"),
    path("orders/<uuid:order_id>/cancel/", views.order_cancel, name="order_cancel"),
    path("api/products", views.api_products),
    path("api/products/", views.api_products, name="api_products"),
    path("api/orders", views.create_order),
    path("api/orders/", views.create_order, name="api_orders"),
]
