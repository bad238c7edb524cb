"""The bakery's pages. Papo leads people to two of them by name: `catalogue`, and `order` with the id of a bill."""

from __future__ import annotations

from django.urls import path

from bakery import views

urlpatterns = [
    path("", views.counter, name="catalogue"),
    path("orders/<uuid:order_id>/", views.order, name="order"),
]
