"""The bakery's routes, and beside them those of payments and realtime."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from realtime.board.views import live_board

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("bakery.urls")),
    path("", include("payments.urls")),
    path("admin/payments/live/", live_board, name="live_board"),  # before the admin, which ends in a catch-all
    path("admin/payments/", include("payments.admin.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
]
if settings.SIMULATOR:
    urlpatterns.append(path("simulator/", include("simulator.urls")))

handler400 = "pages.bad_request"
handler403 = "pages.forbidden"
handler404 = "pages.not_found"
handler500 = "pages.server_error"
