"""The control API for tests and scripts: JSON in, JSON out. It exists only where the simulator is mounted.

| Route | Does |
|---|---|
| `GET api/` | totals |
| `GET api/ledger/?phone=&account_reference=` | what was really paid: `{"payments", "count", "amount"}` |
| `GET api/phones/<number>/` | one phone with its prompts (the newest first), their callbacks, its SMS |
| `POST api/phones/<number>/` | `outcome`, `delivery`, `push`, `query` (null: the number's own), `balance`, `is_on` |
| `POST api/phones/<number>/answer/` | `pin` or `outcome`, and `delivery`, for the newest open prompt, or for the one with `checkout_request_id` |
| `POST api/phones/<number>/pay/` | pays by hand: `account`, `amount`, and `business`, `delivery` of the confirmation: `{"receipt", "problem"}` |
| `GET`, `POST api/c2b/` | the URLs registered; `validates` (true: M-PESA asks first), `copies` of prompts (`none`, `after`, `before`) |
| `POST api/default/` | `outcome`, `delivery`, `push`, `query` of every phone that has none of its own |
| `GET api/scenarios/` | the table of numbers and every value that the fields above take |
| `GET api/reversals/?original_receipt=` | what really went back: `{"reversals", "count", "amount"}` |
| `GET api/statement/?start=&end=&drift=&seed=` | the organisation statement (CSV) of the ledger; `drift`: a share of planted errors |
| `GET api/statement/planted/?…` | what those errors are: `{"planted": [{"kind", "receipt"}]}` |
| `POST api/operator/<kind>/` | `answer`, `delivery`, `result` of the operator's next `reversal` or `transaction_status` requests |
| `POST api/reset/` | forgets phones, prompts and payments |

A POST has the content type `application/json`, which no foreign page can send without asking first.
"""  # noqa: E501

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db.models import TextChoices
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from simulator import courier, handsets, inspection, prompts, record, settling
from simulator.prompts import Prompt
from simulator.scenarios import Delivery, Outcome, PushAnswer, QueryMode, documented

LARGEST_BODY = 64 * 1024  # bytes
LARGEST_BALANCE = 500_000  # KES; M-PESA's own limit for a wallet
PLAN_FIELDS: dict[str, type[TextChoices]] = {
    "outcome": Outcome,
    "delivery": Delivery,
    "push": PushAnswer,
    "query": QueryMode,
}

View = Callable[..., HttpResponse]


class BadRequest(Exception):
    """The script asked for something that is not there."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


def route(**methods: View) -> View:
    """Return one view for several methods; what it cannot do it says as JSON."""

    @csrf_exempt
    @functools.wraps(next(iter(methods.values())))
    def view(request: HttpRequest, **arguments: str) -> HttpResponse:
        try:
            handler = methods.get(request.method or "")
            if handler is None:
                raise BadRequest("Method not allowed.", status=405)
            if number := arguments.get("number"):
                arguments["number"] = _number(number)
            response = handler(request, **arguments)
        except BadRequest as error:
            response = JsonResponse({"detail": str(error)}, status=error.status)
        response.headers["Cache-Control"] = "no-store"
        return response

    return view


def _number(typed: str) -> str:
    number = handsets.normalised(typed)
    if number is None:
        raise BadRequest("Not a Kenyan mobile number.", status=404)
    return number


def json_body(request: HttpRequest, *allowed: str) -> dict[str, Any]:
    """Return the JSON object of a request, which holds nothing but `allowed`."""
    if request.content_type != "application/json":
        raise BadRequest("The content type must be application/json.", status=415)
    try:
        body = request.body
        data = json.loads(body or b"{}") if len(body) <= LARGEST_BODY else None
    except (ValueError, RecursionError, RequestDataTooBig, UnreadablePostError):
        data = None
    if not isinstance(data, dict):
        raise BadRequest("The body must be one JSON object of at most 64 KiB.")
    if unknown := [name for name in data if name not in allowed]:
        raise BadRequest(f"Unknown field {unknown[0][:40]!a}; known: {', '.join(allowed)}.")
    return data


def _choice(data: dict[str, Any], name: str) -> Any:
    value, choices = data[name], PLAN_FIELDS[name]
    if not isinstance(value, str) or value not in choices.values:
        raise BadRequest(f"{name} must be one of {', '.join(choices.values)}.")
    return choices(value)


def _plan_changes(data: dict[str, Any]) -> dict[str, str | None]:
    """Return the parts of a plan that a body names; null gives one back to the number's own."""
    names = [name for name in PLAN_FIELDS if name in data]
    return {name: None if data[name] is None else _choice(data, name).value for name in names}


# Reading --------------------------------------------------------------------------------------------------------


def _totals(request: HttpRequest) -> HttpResponse:
    return JsonResponse(inspection.totals())


def _ledger(request: HttpRequest) -> HttpResponse:
    phone = request.GET.get("phone", "")
    payments = inspection.ledger(
        phone_number=_number(phone) if phone else "", account_reference=request.GET.get("account_reference", "")
    )
    amount = sum(payment["amount"] for payment in payments)
    return JsonResponse({"payments": payments, "count": len(payments), "amount": amount})


def _phone(request: HttpRequest, number: str) -> HttpResponse:
    return JsonResponse(inspection.phone_document(number))


def _scenarios(request: HttpRequest) -> HttpResponse:
    numbers = [{"phone_number": number, "what": what} for number, what in documented()]
    return JsonResponse({"numbers": numbers, **{name: choices.values for name, choices in PLAN_FIELDS.items()}})


# Changing -------------------------------------------------------------------------------------------------------


def _change_phone(request: HttpRequest, number: str) -> HttpResponse:
    data = json_body(request, *PLAN_FIELDS, "balance", "is_on")
    changes: dict[str, Any] = _plan_changes(data)
    if "balance" in data:
        changes["balance"] = _balance(data["balance"])
    if "is_on" in data and not isinstance(data["is_on"], bool):
        raise BadRequest("is_on must be true or false.")
    if data.get("is_on") is False:
        handsets.switch_off(number)
        courier.wake()
    elif "is_on" in data:
        changes["is_on"] = True
    handsets.change(number, **changes)
    return _phone(request, number)


def _balance(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_BALANCE:
        raise BadRequest(f"balance must be a whole number of KES from 0 to {LARGEST_BALANCE}.")
    return value


def _answer(request: HttpRequest, number: str) -> HttpResponse:
    data = json_body(request, "pin", "outcome", "delivery", "checkout_request_id")
    outcome = _outcome(data)
    delivery = _choice(data, "delivery") if "delivery" in data else None
    prompt = _open_prompt(number, data.get("checkout_request_id"))
    if not settling.settle(prompt.id, outcome, delivery=delivery, from_wallet="pin" in data):
        raise BadRequest("That prompt has just been answered.", status=409)
    courier.wake()
    settled = prompts.find(prompt.checkout_request_id)
    return JsonResponse(inspection.prompt_document(settled or prompt))


def _outcome(data: dict[str, Any]) -> Outcome:
    """Return what the body answers: four digits, or an outcome that ends the prompt."""
    if ("pin" in data) == ("outcome" in data):
        raise BadRequest("Give either a pin or an outcome.")
    if "pin" in data:
        if not settling.is_pin(data["pin"]):
            raise BadRequest("pin must be a string of four digits.")
        return settling.outcome_of_pin(data["pin"])
    outcome: Outcome = _choice(data, "outcome")
    if outcome in {Outcome.ASK, Outcome.SILENT}:
        raise BadRequest(f"{outcome.value} does not end a prompt.")
    return outcome


def _open_prompt(number: str, checkout_request_id: Any) -> Prompt:
    for prompt in prompts.of_phone(number):
        if prompt.is_open and checkout_request_id in (None, prompt.checkout_request_id):
            return prompt
    raise BadRequest("This phone has no such open prompt.", status=404)


def _change_default(request: HttpRequest) -> HttpResponse:
    changes = _plan_changes(json_body(request, *PLAN_FIELDS))
    handsets.change(handsets.EVERYBODY, **changes)
    return JsonResponse(changes)


def _reset(request: HttpRequest) -> HttpResponse:
    json_body(request)
    record.reset()
    return JsonResponse({})


totals = route(GET=_totals)
ledger = route(GET=_ledger)
phone = route(GET=_phone, POST=_change_phone)
answer = route(POST=_answer)
default = route(POST=_change_default)
scenarios = route(GET=_scenarios)
reset = route(POST=_reset)
