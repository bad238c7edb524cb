"""What Daraja posts later: the results of reversals and of questions, and that it gave up waiting."""

from __future__ import annotations

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from jsonhttp import problem, problems, require_method
from middleware import client_address
from payments import spool
from payments.callback_token import read_callback_token
from payments.conversations import hearing
from payments.views.callbacks import ACCEPTED, bounded_body

log = structlog.get_logger(__name__)


@csrf_exempt
@problems
def conversation_result(request: HttpRequest, route: str, token: str) -> HttpResponse:
    """Take a result, or the news that M-PESA's queue timed out: 200 once it is safely stored."""
    require_method(request, ["POST"])
    conversation_id = read_callback_token(token, use=route)
    if conversation_id is None:
        return problem(404, "not_found", _("There is nothing here."))
    body = bounded_body(request)
    try:
        is_result = hearing.receive(conversation_id, route, body, client_address(request) or None)
    except (spool.SpoolFull, OSError):
        log.exception("result.lost", conversation=str(conversation_id))
        return problem(503, "not_stored", _("The callback could not be stored."), headers={"Retry-After": "5"})
    if is_result:
        return JsonResponse(ACCEPTED)
    return problem(400, "not_a_result", _("This is not a result of M-PESA's."))
