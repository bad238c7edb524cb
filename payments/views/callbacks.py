"""What Daraja tells us."""

from __future__ import annotations

import uuid

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from jsonhttp import Problem, problem, problems, require_method
from middleware import client_address
from payments import inbox, spool
from payments.callback_token import read_callback_token
from payments.db import release_connection

log = structlog.get_logger(__name__)
ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}


@csrf_exempt
@problems
def callback(request: HttpRequest, token: str) -> HttpResponse:
    """Take a callback: 200 once it is safely stored, whatever it then turns out to mean."""
    require_method(request, ["POST"])
    transaction_id = read_callback_token(token)
    if transaction_id is None:
        return problem(404, "not_found", _("There is nothing here."))
    return receive(transaction_id, bounded_body(request), client_address(request) or None)


def receive(transaction_id: uuid.UUID, body: bytes, remote_address: str | None) -> HttpResponse:
    """Take a body that came with the payment's token, on whichever route, and return the answer to it."""
    try:
        is_callback = inbox.receive(transaction_id, body, remote_address)
    except (spool.SpoolFull, OSError):
        log.exception("callback.lost", transaction_id=str(transaction_id))
        return problem(503, "not_stored", _("The callback could not be stored."), headers={"Retry-After": "5"})
    if is_callback:
        return JsonResponse(ACCEPTED)
    return problem(400, "not_a_callback", _("This is not an STK callback."))


@csrf_exempt
@problems
def mpesa_stk_push_callback(request: HttpRequest, token: str = "") -> HttpResponse:
    """Take a callback on the seed's path: with a valid token like any other, without one as a mere hint."""
    require_method(request, ["POST"])
    body = bounded_body(request)
    transaction_id = read_callback_token(token)
    if transaction_id is not None:
        return receive(transaction_id, body, client_address(request) or None)
    try:
        inbox.receive_hint(body, client_address(request) or None)
    except DatabaseError:
        release_connection()  # a stranger's hint is not worth a word of how we are
    return JsonResponse(ACCEPTED)


def bounded_body(request: HttpRequest) -> bytes:
    """Return the body; raises `Problem` 413 for one that is larger than any callback."""
    declared = request.headers.get("Content-Length", "0")
    is_large = declared.isdigit() and int(declared) > inbox.LARGEST_CALLBACK
    body = b"" if is_large else request.read(inbox.LARGEST_CALLBACK + 1)
    if is_large or len(body) > inbox.LARGEST_CALLBACK:
        raise Problem(413, "too_large", _("This is too large for a callback."))
    return body
