"""The simulator as a server of its own: no shop, no database, the same routes at `/` and at `/simulator/`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path, reverse
from django.views.decorators.http import require_GET

MIDDLEWARE = [
    "middleware.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
BACKLOG = 128  # connections that wait to be accepted


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(reverse("simulator_phones"))


def _plain(status: int, text: str) -> Callable[..., HttpResponse]:
    """Return a view for what went wrong; the project's own error pages are the shop's."""
    return lambda request, *args, **kwargs: HttpResponse(text, status=status, content_type="text/plain")


csrf_failure = _plain(403, "This page is too old. Go back, reload it and try again.")
handler400 = _plain(400, "Bad request.")
handler403 = _plain(403, "Forbidden.")
handler404 = _plain(404, "There is no such page in the simulator.")
handler500 = _plain(500, "The simulator failed.")
urlpatterns = [path("", home), path("simulator/", include("simulator.urls")), path("", include("simulator.urls"))]


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print no line per request: queries carry phone numbers, and an answered 404 is no event here."""


class _Server(ThreadedWSGIServer):
    request_queue_size = BACKLOG


def make_server(host: str, port: int) -> _Server:
    """Return a server that listens. Raises OSError when the port is taken.

    It changes the settings of this process, which serves nothing else.
    """
    settings.ROOT_URLCONF = __name__
    settings.CSRF_FAILURE_VIEW = f"{__name__}.csrf_failure"
    settings.MIDDLEWARE = MIDDLEWARE
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, host, *_names_of_ours()]
    settings.SECURE_SSL_REDIRECT = settings.CSRF_COOKIE_SECURE = False
    settings.SECURE_HSTS_SECONDS = 0
    logging.getLogger("django.server").setLevel(logging.ERROR)
    server = _Server((host, port), _Handler, ipv6=":" in host)
    server.set_app(WSGIHandler())
    return server


def _names_of_ours() -> list[str]:
    """Return the names under which the shop may call us."""
    urls = (getattr(settings, "DARAJA_BASE_URL", ""), getattr(settings, "PUBLIC_BASE_URL", ""))
    return [name for url in urls if (name := urlsplit(url).hostname)]
