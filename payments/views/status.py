"""Polling: the status document, held until there is something newer, and an order with its payments."""

from __future__ import annotations

import uuid

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from jsonhttp import Problem, json_route
from pages import capability, unlisted
from payments import deliveries, waiting
from payments.db import keeping_connection
from payments.documents import Facts, document, facts, is_final, load_facts, poll_after
from payments.models import Status, payments_of
from payments.views.naming import order_named, parse_uuid, refuse_guesser
from shop.orders import order_document

LONGEST_HOLD = 25  # seconds
LONGEST_NUMBER = 9  # digits; larger ones in a query all mean the same, and int() refuses thousands of digits


@json_route("GET")
async def payment_status(request: HttpRequest) -> HttpResponse:
    """Answer a poll; with `since` and `wait` hold it until there is something newer or the time is up."""
    about = await _awaited_facts(request)
    _note_delivery(request, about)
    return _status_response(request, about)


def _note_delivery(request: HttpRequest, about: Facts) -> None:
    """Note that the end of a payment leaves with this answer, or that the asking page says it shows it already."""
    if about["status"] == Status.PENDING:
        return
    transaction_id, version = uuid.UUID(about["transaction_id"]), about["version"]
    shown = request.GET.get("seen") or request.GET.get("since") or ""
    deliveries.note_sent(transaction_id, version, deliveries.Channel.POLL, watched=shown not in {"", str(version)})
    if request.GET.get("seen") == str(version):
        deliveries.note_seen(transaction_id, version)


async def _awaited_facts(request: HttpRequest) -> Facts:
    transaction_id = _transaction_id(request.GET.get("transaction_id", ""))
    since = _whole_number(request, "since", 0)
    wait = min(_whole_number(request, "wait", 0), LONGEST_HOLD)
    with waiting.held(transaction_id, since) as waiter:
        waiting.note_poll(waiter, wait=wait)
        about = await _load(request, transaction_id)
        if waiter and wait and about["version"] <= since and await waiter.wait(wait):
            about = await _load(request, transaction_id)
        return about


def _transaction_id(text: str) -> uuid.UUID:
    try:
        return parse_uuid(text)
    except ValueError:
        raise _payment_unknown() from None


def _payment_unknown() -> Problem:
    return Problem(404, "payment_unknown", _("There is no such payment."), field="transaction_id")


def _whole_number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise Problem(400, f"{name}_invalid", _("%(name)s must be a whole number.") % {"name": name}, field=name)
    digits = text.lstrip("0")
    return int(digits or 0) if len(digits) <= LONGEST_NUMBER else 10**LONGEST_NUMBER


async def _load(request: HttpRequest, transaction_id: uuid.UUID) -> Facts:
    about = await sync_to_async(keeping_connection)(load_facts, transaction_id)
    if about is None:
        await sync_to_async(keeping_connection)(refuse_guesser, request)
        raise _payment_unknown()
    return about


def _status_response(request: HttpRequest, about: Facts) -> HttpResponse:
    response: HttpResponse = JsonResponse(document(about))
    etag = f'W/"{about["version"]}-{get_language()}-{int(is_final(about))}"'
    response.headers["ETag"] = etag
    response = get_conditional_response(request, etag=etag, response=response) or response
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    seconds = poll_after(about)
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return unlisted(response)


@json_route("GET")
def api_order(request: HttpRequest, order_id: str) -> HttpResponse:
    """GET /api/orders/<order_id>/: the order and the documents of its payments, newest first."""
    order = order_named(request, order_id)
    payments = payments_of(order).select_related("order")
    told = {**order_document(order), "payments": [document(facts(payment)) for payment in payments]}
    return capability(JsonResponse(told))
