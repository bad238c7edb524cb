"""The control API's part about the shop's operator; its table stands in control.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from simulator import conversations
from simulator.control import BadRequest, json_body, route
from simulator.conversations import Answer, Kind, Plan, ResultDelivery

LONGEST_CODE = 40  # characters


def _reversals(request: HttpRequest) -> HttpResponse:
    found = conversations.reversals(request.GET.get("original_receipt", ""))
    return JsonResponse(
        {"reversals": found, "count": len(found), "amount": sum(reversal["amount"] for reversal in found)}
    )


def _plan(request: HttpRequest, kind: str) -> HttpResponse:
    return _shown(conversations.plan(_kind(kind)))


def _change_plan(request: HttpRequest, kind: str) -> HttpResponse:
    data, changed = json_body(request, "answer", "delivery", "result"), Plan()
    if "answer" in data:
        changed = replace(changed, answer=_one_of(Answer, "answer", data["answer"]))
    if "delivery" in data:
        changed = replace(changed, delivery=_one_of(ResultDelivery, "delivery", data["delivery"]))
    if "result" in data:
        if not isinstance(data["result"], str) or len(data["result"]) > LONGEST_CODE:
            raise BadRequest("result must be a code that M-PESA fails the request with, or empty.")
        changed = replace(changed, result=data["result"])
    conversations.change_plan(_kind(kind), changed)
    return _shown(changed)


def _kind(text: str) -> Kind:
    if text not in Kind.values:
        raise BadRequest(f"kind must be one of {', '.join(Kind.values)}.", status=404)
    return Kind(text)


def _one_of(choices: Any, name: str, value: Any) -> Any:
    if not isinstance(value, str) or value not in choices.values:
        raise BadRequest(f"{name} must be one of {', '.join(choices.values)}.")
    return choices(value)


def _shown(plan: Plan) -> HttpResponse:
    return JsonResponse({"answer": plan.answer.value, "delivery": plan.delivery.value, "result": plan.result})


reversals = route(GET=_reversals)
operator = route(GET=_plan, POST=_change_plan)
