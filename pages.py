"""What pages share: the headers of one whose address is its own key, and the answers when something is wrong."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from jsonhttp import DATABASE_AWAY, is_json, problem

P = ParamSpec("P")

MACHINE_PATHS = ("/api/", "/payments/status", "/payments/callback/", "/payments/c2b/", "/mpesa/")


def unlisted(response: HttpResponse) -> HttpResponse:
    """Keep an address that is its own key out of referrers and search engines."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def capability(response: HttpResponse) -> HttpResponse:
    """Keep what stands at an address that is its own key out of caches, too."""
    response.headers["Cache-Control"] = "no-store"
    return unlisted(response)


def capability_page(view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Pass everything that a view answers through `capability`."""

    @functools.wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return capability(view(*args, **kwargs))

    return wrapper


def _is_for_a_machine(request: HttpRequest) -> bool:
    return is_json(request) or request.path_info.startswith(MACHINE_PATHS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_a_machine(request):
        return problem(400, "bad_request", _("The request cannot be understood."))
    # Without a context: the Host may be what is wrong, and the context would ask for it.
    return render(None, "400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_for_a_machine(request):
        return problem(403, "forbidden", _("This is not for you."))
    return render(request, "403.html", status=403)


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """Answer who has typed too many wrong passwords, whoever they are and whatever they type now."""
    seconds = int(settings.AXES_COOLOFF_TIME * 3600)
    page = render(request, "429_login.html", {"minutes": seconds // 60}, status=429)
    page.headers["Retry-After"] = str(seconds)
    return page


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that came without a valid CSRF token: nothing was done, and a reload cures it."""
    return render(request, "403_csrf.html", status=403)


def not_found(request: HttpRequest, exception: Any) -> HttpResponse:
    if _is_for_a_machine(request):
        return problem(404, "not_found", _("There is nothing here."))
    return render(request, "404.html", status=404)


def nothing_here(request: HttpRequest, **parts: str) -> HttpResponse:
    """Answer for an address that a library would have, and the shop does not."""
    raise Http404


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_for_a_machine(request):
        return problem(500, "internal_error", _("Something went wrong in the shop, and it was noted."))
    if isinstance(sys.exception(), DATABASE_AWAY):
        return _database_away()
    # Without a context, and from a template that extends nothing: whatever broke may be what those need.
    return render(None, "500.html", status=500)


def _database_away() -> HttpResponse:
    """Answer 503 where nothing is broken for good: proxies, crawlers and waiting pages come back soon."""
    response = render(None, "500.html", status=503)
    response.headers["Retry-After"] = "5"
    return response
