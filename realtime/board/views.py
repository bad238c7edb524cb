"""The board as a page: whole without a script, kept alive by one, and polled where no socket gets through."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from payments.models import Reason, Source, Status
from payments.search import SAVED_VIEWS
from realtime.board import painter, rights
from realtime.board.look import Look


@admin.site.admin_view
def live_board(request: HttpRequest) -> HttpResponse:
    """GET /admin/payments/live/: the board, narrowed by the filters in its address; `wall=1` for a screen on a wall.

    With `fragment=1` only what has changed since `cursor`, which is what a page without a socket polls.
    """
    if not rights.may_see(request.user):
        raise PermissionDenied
    look = Look.of(request.GET.dict(), language=get_language() or settings.LANGUAGE_CODE)
    return _fragment(request, look) if request.GET.get("fragment") == "1" else _page(request, look)


def _page(request: HttpRequest, look: Look) -> HttpResponse:
    search = look.search
    context = {
        **admin.site.each_context(request),
        "title": _("Payments, live"),
        "is_nav_sidebar_enabled": False,
        "wall": look.wall,
        "search": search,
        "given": search.given,
        "saved_views": SAVED_VIEWS,
        "statuses": Status.choices,
        "all_reasons": Reason.choices,
        "all_sources": Source.choices,
        "server_now": int(timezone.now().timestamp() * 1000),
        **painter.page(look),
    }
    response = render(request, "admin/payments/live.html", context)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _fragment(request: HttpRequest, look: Look) -> HttpResponse:
    """Answer a poll; the ETag is of the text itself, so nothing new is nothing sent."""
    text = "\n".join(painter.greeting(look, request.GET.get("cursor", "")))
    etag = f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    response: HttpResponse = HttpResponse(text)
    response.headers["ETag"] = etag
    response = get_conditional_response(request, etag=etag, response=response) or response
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    return response
