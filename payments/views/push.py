"""Asking for a payment: JSON for programs, a form for pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from jsonhttp import Problem, problem, problems, read_json, refuse_foreign_origin, require_method
from middleware import client_address
from pages import capability
from payments.c2b.announced import asks_first
from payments.checkout import CheckoutRefused, start_checkout
from payments.documents import Facts, document, facts
from payments.models import Transaction
from payments.phone_numbers import InvalidPhoneNumber, normalise_phone_number
from payments.remembered import remember_payment, remember_typed
from payments.views.naming import order_named
from payments.views.page import is_htmx, screen_for
from shop import idempotency
from shop.models import Order

CLOSED = {"order_paid", "order_cancelled", "under_review"}
FORM_TYPES = {"application/x-www-form-urlencoded", "multipart/form-data"}


class AsksFirst(Exception):
    """A payment by hand waits for M-PESA's word: the page asks whether the customer has paid; nothing was sent."""


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
    order = order_named(request, body.get("order_id"))
    phone_number = _phone_number(body.get("phone_number", body.get("phone")))
    with idempotency.claim(request, f"stk-push:{order.pk}", {"phone_number": phone_number}) as claim:
        return _replay(*claim.answered) if claim.answered else _answer_push(request, order, phone_number, claim)


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
    """Repeat the first answer's status code and ids, with the document as it is now.

    After `outcome_unknown` too: who lost its answer and asks again must learn that the payment has ended since.
    """
    about = facts(Transaction.objects.select_related("order").get(pk=result["transaction_id"]))
    if status_code < 400:
        return _document_response(about, status=status_code, extra=result["ids"])
    told = document(about)
    return problem(status_code, "outcome_unknown", told["message"], transaction_id=told["transaction_id"], payment=told)


def _document_response(about: Facts, *, status: int = 200, extra: dict[str, Any] | None = None) -> HttpResponse:
    response = JsonResponse({**document(about), **(extra or {})}, status=status)
    response.headers["Location"] = reverse("payment", args=[about["transaction_id"]])
    return capability(response)


@csrf_protect
def _push_from_form(request: HttpRequest) -> HttpResponse:
    """Serve the page's form: 303 to the payment, the fragment for htmx, or the form again with its error."""
    typed = request.POST.get("phone_number") or request.POST.get("phone") or ""
    try:
        order = order_named(request, request.POST.get("order_id") or "")
    except Problem as refusal:
        return _refusal_page(request, refusal)
    try:
        payment = _payment_of_form(request, order, _phone_number(typed))
    except Problem as refusal:
        return _form_again(request, order, typed, refusal.status, error=refusal.detail)
    except AsksFirst:
        return _form_again(request, order, typed, 409, asked=True)
    except CheckoutRefused as refusal:
        if refusal.payment is None or refusal.code == "payment_open":
            return _refused_form(request, order, typed, refusal)
        payment = refusal.payment
    remember_typed(request.session, payment.pk, typed)
    response = _to_payment(request, payment)
    remember_payment(request, response, payment.pk)
    return response


def _payment_of_form(request: HttpRequest, order: Order, phone_number: str) -> Transaction:
    """Return the payment that this form begins, or began when it came before with the same Idempotency-Key."""
    with idempotency.claim(request, f"stk-push-form:{order.pk}", {"phone_number": phone_number}) as claim:
        if claim.answered:
            return Transaction.objects.select_related("order").get(pk=claim.answered[1]["transaction_id"])
        if "not_paid_by_hand" not in request.POST and asks_first(order):
            raise AsksFirst
        caller = {"address": client_address(request), "session_key": _session_key(request)}
        try:
            payment = start_checkout(order.pk, phone_number, **caller).payment
        except CheckoutRefused as refusal:
            if refusal.code == "outcome_unknown" and refusal.payment:
                claim.keep(303, {"transaction_id": str(refusal.payment.pk)})
            raise
        claim.keep(303, {"transaction_id": str(payment.pk)})
        return payment


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


def _refused_form(request: HttpRequest, order: Order, typed: str, refusal: CheckoutRefused) -> HttpResponse:
    """Show the form with what it was refused for and how long that lasts, or no form where nothing is to be paid."""
    about = {"error": refusal.detail, "retry_after": refusal.retry_after, "closed": refusal.code in CLOSED}
    response = _form_again(request, order, typed, refusal.status, open_payment=refusal.payment, **about)
    if refusal.retry_after:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _form_again(request: HttpRequest, order: Order, typed: str, status: int, **about: Any) -> HttpResponse:
    template = "payments/_pay_form.html" if is_htmx(request) else "payments/pay.html"
    context = {"order": order, "phone_number": typed, **about}
    return capability(render(request, template, context, status=status))


def _to_payment(request: HttpRequest, payment: Transaction) -> HttpResponse:
    url = reverse("payment", args=[payment.pk])
    if not is_htmx(request):
        return HttpResponseRedirect(url, status=303)
    payment.refresh_from_db()
    response = render(request, "payments/_status.html", {"payment": screen_for(request, facts(payment))}, status=201)
    response.headers["HX-Push-Url"] = url
    return capability(response)
