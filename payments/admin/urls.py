"""The staff's pages that belong to no list; mounted at /admin/payments/, before the admin's own routes."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from payments.admin import counter, export, order_desk

_staff = admin.site.admin_view

urlpatterns = [
    path("counter/", _staff(counter.counter), name="counter"),
    path("counter/<uuid:transaction_id>/", _staff(counter.counter_payment), name="counter_payment"),
    path("counter/order/<uuid:order_id>/", _staff(counter.counter_order), name="counter_order"),
    path("export/", _staff(export.export), name="export"),
    path("export/<uuid:export_id>/", _staff(export.progress), name="export_progress"),
    path("export/<uuid:export_id>/file/", _staff(export.file), name="export_file"),
    path("orders/", _staff(order_desk.order_desk), name="order_desk"),
    path("orders/<uuid:order_id>/", _staff(order_desk.move), name="order_desk_move"),
]
