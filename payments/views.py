"""The routes of a payment: ask for it, look at it, poll it, and Daraja's callback about it."""

from __future__ import annotations

import hmac
import ipaddress
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET

from jsonhttp import Problem, json_route, problem, problems, read_json, refuse_foreign_origin, require_method
from middleware import client_address
from pages import capability
from payments import health, inbox, spool, waiting
from payments.callback_token import read_callback_token
from payments.checkout import CheckoutRefused, start_checkout
from payments.db import release_connection
from payments.documents import Facts, document, facts, is_final, load_facts, poll_after, screen
from payments.metrics import metrics_text
from payments.models import Transaction
from payments.phone_numbers import InvalidPhoneNumber, normalise_phone_number
from payments.schema import SCHEMA
from shop import idempotency
from shop.limits import TooOften, count_unknown_id, unknown_page
from shop.limits import problem as too_often
from shop.models import Order
from shop.orders import order_document

log = structlog.get_logger(__name__)

LONGEST_HOLD = 25  # seconds
LONGEST_NUMBER = 9  # digits; larger ones in a query all mean the same, and int() refuses thousands of digits
TYPED_NUMBERS_KEPT = 20  # a session
FORM_TYPES = {"application/x-www-form-urlencoded", "multipart/form-data"}
ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


# Asking for a payment -------------------------------------------------------------------------------------------


@method_decorator(csrf_exempt, name="dispatch")
class STKPushView(View):
    """POST /payments/stk-push/: JSON for programs, a form with Django's CSRF check for pages."""

    @method_decorator(problems)
    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        require_method(request, ["POST"])
        raise NotImplementedError("POST is allowed")

    def post(self, request: HttpRequest) -> HttpResponse:
        return _push_from_form(request) if request.content_type in FORM_TYPES else _push_from_json(request)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


@problems
def _push_from_json(request: HttpRequest) -> HttpResponse:
    refuse_foreign_origin(request)
    body = read_json(request)
    order = _order_named(request, body.get("order_id"))
    phone_number = _phone_number(body.get("phone_number", body.get("phone")))
    with idempotency.claim(request, f"stk-push:{order.pk}", {"phone_number": phone_number}) as claim:
        return _replay(*claim.answered) if claim.answered else _answer_push(request, order, phone_number, claim)


def _order_named(request: HttpRequest, order_id: object) -> Order:
    if not isinstance(order_id, str):
        raise Problem(400, "order_id_missing", _("order_id must be the id of an order."), field="order_id")
    try:
        return Order.objects.get(pk=_uuid(order_id))
    except Order.DoesNotExist:
        _refuse_guesser(request)
    except ValueError:
        pass  # not even an id, so nobody's guess
    raise Problem(404, "order_unknown", _("There is no such order."), field="order_id")


def _refuse_guesser(request: HttpRequest) -> None:
    """Count an id that nobody has; raises `Problem` 429 for an address that asks for many of those."""
    try:
        count_unknown_id(request)
    except TooOften as refusal:
        raise too_often(refusal) from refusal


def _uuid(text: str) -> uuid.UUID:
    """Return the UUID in its one written form; `uuid.UUID` alone also takes braces, URNs and Arabic digits."""
    if not text.isascii() or len(text) != 36:
        raise ValueError(text)
    return uuid.UUID(text)


def _phone_number(typed: object) -> str:
    try:
        return normalise_phone_number(typed)
    except InvalidPhoneNumber:
        detail = _("Enter a Safaricom number, like 0712 345 678.")
        raise Problem(400, "phone_number_invalid", detail, field="phone_number") from None


def _answer_push(request: HttpRequest, order: Order, phone_number: str, claim: idempotency.Claim) -> HttpResponse:
    try:
        checkout = start_checkout(order.pk, phone_number, address=client_address(request))
    except CheckoutRefused as refusal:
        if refusal.code == "outcome_unknown" and refusal.payment:
            claim.keep(refusal.status, {"transaction_id": str(refusal.payment.pk)})
        raise _as_problem(refusal) from refusal
    payment = checkout.payment
    ids = {"merchant_request_id": payment.merchant_request_id, "checkout_request_id": payment.checkout_request_id}
    status = 201 if checkout.is_new else 200
    claim.keep(status, {"transaction_id": str(payment.pk), "ids": ids if checkout.is_new else {}})
    return _document_response(facts(payment), status=status, extra=ids if checkout.is_new else {})


def _as_problem(refusal: CheckoutRefused) -> Problem:
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
    told = {"daraja_refused", "daraja_unreachable", "outcome_unknown"}
    extra = {"transaction_id": str(refusal.payment.pk)} if refusal.payment and refusal.code in told else {}
    return Problem(refusal.status, refusal.code, refusal.detail, headers=headers, **extra)


def _replay(status_code: int, result: dict[str, Any]) -> HttpResponse:
    """Repeat the first answer's status code and ids, with the document as it is now."""
    if status_code >= 400:
        detail = _("M-PESA did not answer. If a prompt appears on your phone, enter your PIN once.")
        return problem(status_code, "outcome_unknown", detail, transaction_id=result["transaction_id"])
    payment = Transaction.objects.select_related("order").get(pk=result["transaction_id"])
    return _document_response(facts(payment), status=status_code, extra=result["ids"])


def _document_response(about: Facts, *, status: int = 200, extra: dict[str, Any] | None = None) -> HttpResponse:
    response = JsonResponse({**document(about), **(extra or {})}, status=status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Location"] = reverse("payment", args=[about["transaction_id"]])
    return response


@csrf_protect
def _push_from_form(request: HttpRequest) -> HttpResponse:
    """Serve the page's form: 303 to the payment, the fragment for htmx, or the form again with its error."""
    typed = request.POST.get("phone_number") or request.POST.get("phone") or ""
    try:
        order = _order_named(request, request.POST.get("order_id") or "")
    except Problem as refusal:
        return _refusal_page(request, refusal)
    try:
        phone_number = _phone_number(typed)
        caller = {"address": client_address(request), "session_key": _session_key(request)}
        payment = start_checkout(order.pk, phone_number, **caller).payment
    except Problem as refusal:
        return _form_again(request, order, typed, refusal.detail, refusal.status)
    except CheckoutRefused as refusal:
        if refusal.payment is None or refusal.code == "payment_open":
            response = _form_again(request, order, typed, refusal.detail, refusal.status)
            if refusal.retry_after:
                response.headers["Retry-After"] = str(refusal.retry_after)
            return response
        payment = refusal.payment
    _remember_typed(request, payment, typed)
    return _to_payment(request, payment)


def _refusal_page(request: HttpRequest, refusal: Problem) -> HttpResponse:
    response = render(request, f"{refusal.status}.html", status=refusal.status)
    for name, value in (refusal.headers or {}).items():
        response.headers[name] = value
    return response


def _session_key(request: HttpRequest) -> str | None:
    """Return the key by which this session's prompts are counted; the first one needs it too."""
    if not request.session.session_key:
        request.session.create()
    return request.session.session_key


def _form_again(request: HttpRequest, order: Order, typed: str, error: str, status: int) -> HttpResponse:
    template = "payments/_pay_form.html" if _is_htmx(request) else "payments/pay.html"
    context = {"order": order, "phone_number": typed, "error": error}
    return capability(render(request, template, context, status=status))


def _to_payment(request: HttpRequest, payment: Transaction) -> HttpResponse:
    url = reverse("payment", args=[payment.pk])
    if not _is_htmx(request):
        return HttpResponseRedirect(url, status=303)
    payment.refresh_from_db()
    response = render(request, "payments/_status.html", {"payment": _screen(request, facts(payment))}, status=201)
    response.headers["HX-Push-Url"] = url
    return capability(response)


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _remember_typed(request: HttpRequest, payment: Transaction, typed: str) -> None:
    """Let the session that typed the number see it as typed; nobody else does."""
    numbers = dict(request.session.get("typed_numbers", {}))
    numbers[str(payment.pk)] = typed.strip()
    request.session["typed_numbers"] = dict(list(numbers.items())[-TYPED_NUMBERS_KEPT:])


# Looking at a payment -------------------------------------------------------------------------------------------


def _screen(request: HttpRequest, about: Facts) -> dict[str, Any]:
    shown = screen(about)
    typed = request.session.get("typed_numbers", {}).get(about["transaction_id"])
    return {**shown, "phone_shown": typed or shown["phone_shown"], "phone_typed": typed or ""}


@require_GET
def payment(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Show the customer's page, or only its live part to htmx."""
    template = "payments/_status.html" if _is_htmx(request) else "payments/payment.html"
    return _payment_page(request, transaction_id, template)


@require_GET
def receipt(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Show the receipt of a paid payment, with the number masked: receipts are printed and passed on."""
    return _payment_page(request, transaction_id, "payments/receipt.html", shown=lambda _request, about: screen(about))


def _payment_page(
    request: HttpRequest,
    transaction_id: uuid.UUID,
    template: str,
    *,
    shown: Callable[[HttpRequest, Facts], dict[str, Any]] = _screen,
) -> HttpResponse:
    known = Transaction.objects.select_related("order").filter(environment=settings.MPESA_ENVIRONMENT)
    payment = known.filter(pk=transaction_id).first()
    if payment is None:
        return unknown_page(request)
    context = {"payment": shown(request, facts(payment)), "order": payment.order}
    return capability(render(request, template, context))


@json_route("GET")
async def payment_status(request: HttpRequest) -> HttpResponse:
    """Answer a poll; with `since` and `wait` hold it until there is something newer or the time is up."""
    return _status_response(request, await _awaited_facts(request))


async def _awaited_facts(request: HttpRequest) -> Facts:
    transaction_id = _transaction_id(request.GET.get("transaction_id", ""))
    since = _whole_number(request, "since", 0)
    wait = min(_whole_number(request, "wait", 0), LONGEST_HOLD)
    with waiting.held(transaction_id, since) as waiter:
        about = await _load(request, transaction_id)
        if waiter and wait and about["version"] <= since and await waiter.wait(wait):
            about = await _load(request, transaction_id)
        return about


def _transaction_id(text: str) -> uuid.UUID:
    try:
        return _uuid(text)
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
    return await sync_to_async(_load_and_release)(request, transaction_id)


def _load_and_release(request: HttpRequest, transaction_id: uuid.UUID) -> Facts:
    try:
        about = load_facts(transaction_id)
        if about is None:
            _refuse_guesser(request)
            raise _payment_unknown()
        return about
    finally:
        release_connection()


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
    return response


@json_route("GET")
def api_order(request: HttpRequest, order_id: str) -> HttpResponse:
    """GET /api/orders/<order_id>/: the order and the documents of its payments, newest first."""
    order = _order_named(request, order_id)
    payments = order.transactions.filter(environment=settings.MPESA_ENVIRONMENT).select_related("order")
    return JsonResponse({**order_document(order), "payments": [document(facts(payment)) for payment in payments]})


# What Daraja tells us -------------------------------------------------------------------------------------------


@csrf_exempt
@problems
def callback(request: HttpRequest, token: str) -> HttpResponse:
    """Take a callback: 200 once it is safely stored, whatever it then turns out to mean."""
    require_method(request, ["POST"])
    transaction_id = read_callback_token(token)
    if transaction_id is None:
        return problem(404, "not_found", _("There is nothing here."))
    return _receive(transaction_id, _bounded_body(request), request)


def _receive(transaction_id: uuid.UUID, body: bytes, request: HttpRequest) -> HttpResponse:
    try:
        is_callback = inbox.receive(transaction_id, body, client_address(request) or None)
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
    body = _bounded_body(request)
    transaction_id = read_callback_token(token)
    if transaction_id is not None:
        return _receive(transaction_id, body, request)
    try:
        inbox.receive_hint(body, client_address(request) or None)
    except DatabaseError:
        release_connection()  # a stranger's hint is not worth a word of how we are
    return JsonResponse(ACCEPTED)


def _bounded_body(request: HttpRequest) -> bytes:
    """Return the body; raises `Problem` 413 for one that is larger than any callback."""
    declared = request.headers.get("Content-Length", "0")
    is_large = declared.isdigit() and int(declared) > inbox.LARGEST_CALLBACK
    body = b"" if is_large else request.read(inbox.LARGEST_CALLBACK + 1)
    if is_large or len(body) > inbox.LARGEST_CALLBACK:
        raise Problem(413, "too_large", _("This is too large for a callback."))
    return body


# About ourselves ------------------------------------------------------------------------------------------------


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process is alive."""
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether this process should be given work, and how many callbacks wait on disk."""
    missing = health.not_ready()
    answer = {"status": "not ready" if missing else "ready", "not_ready": missing, "spool": spool.length()}
    return JsonResponse(answer, status=503 if missing else 200)


@require_GET
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
    try:
        return ipaddress.ip_address(client_address(request)).is_loopback
    except ValueError:
        return False


@require_GET
def schema(request: HttpRequest) -> HttpResponse:
    """Serve the OpenAPI document of the JSON routes."""
    return JsonResponse(SCHEMA)
