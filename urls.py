"""Every route of the house."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from demo import demo
from pages import nothing_here
from realtime.board.views import live_board

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("shop.urls")),
    path("", include("payments.urls")),
    path("admin/payments/live/", live_board, name="live_board"),  # before the admin, which ends in a catch-all
    path("admin/payments/", include("payments.admin.urls")),
    # Leads to pages of rows that have none here, and answers 500 to an id of another shape.
    path("admin/r/<path:row>", nothing_here, name="no_shortcut"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
]
if settings.SIMULATOR:
    urlpatterns.append(path("simulator/", include("simulator.urls")))
    urlpatterns.append(path("demo/", demo, name="demo"))

handler400 = "pages.bad_request"
handler403 = "pages.forbidden"
handler404 = "pages.not_found"
handler500 = "pages.server_error"
