"""C2B as Daraja offers it, the handset's form to pay by hand, and the control API's part about both."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from simulator import courier, credentials, handsets, identifiers, paybill, settling
from simulator.answers import bad_field
from simulator.control import BadRequest, json_body, route
from simulator.daraja import check_bearer, endpoint
from simulator.daraja import json_body as daraja_body
from simulator.push_fields import url_field
from simulator.scenarios import Delivery

FILTERED = ("m-pesa", "mpesa", "safaricom", "exe", "exec", "cmd", "sql", "query")
LONGEST_ACCOUNT = 20  # characters


@endpoint("POST")
def register_url(request: HttpRequest) -> HttpResponse:
    """Take the shop's two URLs; the words that Safaricom's gateway filters are refused here at once."""
    check_bearer(request, 400, "400.003.01")
    data = daraja_body(request)
    if str(data.get("ShortCode")) != credentials.short_code():
        raise bad_field("ShortCode")
    if data.get("ResponseType") not in {"Completed", "Cancelled"}:
        raise bad_field("ResponseType")
    urls = [url_field(data, name) for name in ("ConfirmationURL", "ValidationURL")]
    for name, url in zip(("ConfirmationURL", "ValidationURL"), urls, strict=True):
        if any(word in url.lower() for word in FILTERED):
            raise bad_field(name)
    paybill.register(*urls, cancels=data["ResponseType"] == "Cancelled")
    told = {"ResponseCode": "0", "ResponseDescription": "Success"}
    return JsonResponse({"OriginatorCoversationID": identifiers.merchant_request_id(), **told})


@require_POST
def pay(request: HttpRequest, number: str) -> HttpResponse:
    """Pay by hand what the form of a handset says; the phone shows what became of it."""
    phone_number = handsets.normalised(number) or ""
    amount = request.POST.get("amount", "")
    is_amount = amount.isascii() and amount.isdigit() and 1 <= len(amount) <= 6 and int(amount) >= 1
    problem = ""
    if not phone_number or not is_amount or int(amount) > paybill.LARGEST_AMOUNT:
        problem = "amount"
    elif not settling.is_pin(request.POST.get("pin")) or request.POST["pin"] == settling.WRONG_PIN:
        problem = "pin"
    else:
        account = request.POST.get("account", "").strip()[:LONGEST_ACCOUNT]
        paybill.pay(phone_number, request.POST.get("business", "").strip()[:7], account, int(amount))
        courier.wake()
    url = reverse("simulator_phone", args=[number])
    return HttpResponseRedirect(f"{url}?wrong={problem}#by-hand" if problem else url, status=303)


# The control API ------------------------------------------------------------------------------------------------


def _pay(request: HttpRequest, number: str) -> HttpResponse:
    data = json_body(request, "business", "account", "amount", "delivery")
    amount = data.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool) or not 1 <= amount <= paybill.LARGEST_AMOUNT:
        raise BadRequest(f"amount must be a whole number of KES from 1 to {paybill.LARGEST_AMOUNT}.")
    if data.get("delivery") not in (None, *Delivery.values):
        raise BadRequest(f"delivery must be one of {', '.join(Delivery.values)}.")
    delivery = Delivery(data["delivery"]) if data.get("delivery") else None
    business = str(data.get("business") or credentials.till_number() or credentials.short_code())
    account = str(data.get("account", ""))[:LONGEST_ACCOUNT]
    paid = paybill.pay(number, business, account, amount, delivery=delivery)
    courier.wake()
    return JsonResponse({"receipt": paid.receipt or None, "problem": paid.problem or None})


def _shown(request: HttpRequest) -> HttpResponse:
    known = paybill.registered()
    return JsonResponse(vars(known) if known else {})


def _change(request: HttpRequest) -> HttpResponse:
    data, changes = json_body(request, "validates", "copies"), dict[str, Any]()
    if "validates" in data:
        changes["validates"] = bool(data["validates"])
    if "copies" in data:
        if data["copies"] not in paybill.Copies.values:
            raise BadRequest(f"copies must be one of {', '.join(paybill.Copies.values)}.")
        changes["copies"] = data["copies"]
    if changes and not paybill.change(**changes):
        raise BadRequest("The shop has registered no URLs yet.", status=409)
    return _shown(request)


pay_by_script = route(POST=_pay)
c2b = route(GET=_shown, POST=_change)
