"""What M-PESA tells us of money that came by hand, and asks us before it takes some."""

from __future__ import annotations

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from jsonhttp import Problem, problem, problems, require_method
from middleware import client_address
from payments import spool
from payments.c2b import inbox
from payments.c2b.message import NotAConfirmation, parse_message
from payments.c2b.path import is_ours
from payments.c2b.validation import refusal_of
from payments.db import take_or_put_aside
from payments.views.callbacks import bounded_body

log = structlog.get_logger(__name__)
SUCCESS = {"ResultCode": 0, "ResultDesc": "Success"}
WELCOME = {"ResultCode": "0", "ResultDesc": "Accepted"}


def _body_on_secret_path(request: HttpRequest, segment: str) -> bytes:
    require_method(request, ["POST"])
    if not is_ours(segment):
        raise Problem(404, "not_found", _("There is nothing here."))
    return bounded_body(request)


@csrf_exempt
@problems
def c2b_confirmation(request: HttpRequest, segment: str) -> HttpResponse:
    """Take a confirmation: 200 once it is safely stored, whatever it then turns out to mean."""
    body = _body_on_secret_path(request, segment)
    try:
        is_confirmation = inbox.receive(body, client_address(request) or None)
    except (spool.SpoolFull, OSError):
        log.exception("confirmation.lost")
        return problem(503, "not_stored", _("The callback could not be stored."), headers={"Retry-After": "5"})
    if is_confirmation:
        return JsonResponse(SUCCESS)
    return problem(400, "not_a_confirmation", _("This is not a confirmation of a payment to this shop."))


@csrf_exempt
@problems
def c2b_validation(request: HttpRequest, segment: str) -> HttpResponse:
    """Say whether M-PESA should take a payment that a customer is making by hand; in doubt it is welcome."""
    body = _body_on_secret_path(request, segment)
    try:
        message = parse_message(body)
        code = take_or_put_aside(lambda: refusal_of(message), lambda: "")
    except NotAConfirmation:
        return problem(400, "not_a_confirmation", _("This is not a confirmation of a payment to this shop."))
    except DatabaseError:
        code = ""  # as while it is away: money that comes is kept; money that is refused may not come again
    return JsonResponse({"ResultCode": code, "ResultDesc": "Rejected"} if code else WELCOME)
