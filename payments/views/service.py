"""About ourselves: health, figures, and the description of the JSON routes."""

from __future__ import annotations

import hmac
import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from environment import is_listed
from jsonhttp import problem
from middleware import client_address
from payments import health, spool
from payments.metrics import metrics_text
from payments.schema import SCHEMA

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


@csrf_exempt  # whoever posts is told 405
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process is alive."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether this process should be given work, and how many callbacks wait on disk."""
    missing = health.not_ready()
    answer = {"status": "not ready" if missing else "ready", "not_ready": missing, "spool": spool.length()}
    return JsonResponse(answer, status=503 if missing else 200)


@csrf_exempt
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Serve Prometheus text to the bearer of METRICS_TOKEN, or to this machine alone; to others there is nothing."""
    if not _may_read_metrics(request):
        return problem(404, "not_found", _("There is nothing here."))
    return HttpResponse(metrics_text(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if any(header in request.META for header in FORWARDING_HEADERS):
        return False
    return is_listed(client_address(request), LOOPBACK)


@csrf_exempt
@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """Serve the OpenAPI document of the JSON routes."""
    return JsonResponse(SCHEMA)
