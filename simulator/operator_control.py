"""The control API's part about the shop's operator; its table stands in control.py."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from simulator import conversations, statement
from simulator.control import BadRequest, json_body, route
from simulator.conversations import Answer, Kind, Plan, ResultDelivery

LONGEST_CODE = 40  # characters
LATEST = 4_000_000_000  # Unix seconds


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


def _statement(request: HttpRequest) -> HttpResponse:
    """Export the statement of a time (Unix seconds; all of it unless given), with a share of errors on request."""
    start, end, share, seed = _wanted(request)
    found = statement.plant(statement.lines(start, end), share, seed)
    file = StreamingHttpResponse(statement.csv_text(found, start, end), content_type="text/csv; charset=utf-8")
    file.headers["Content-Disposition"] = 'attachment; filename="statement.csv"'
    return file  # type: ignore[return-value]


def _planted(request: HttpRequest) -> HttpResponse:
    start, end, share, seed = _wanted(request)
    planted: list[statement.Planted] = []
    for _line in statement.plant(statement.lines(start, end), share, seed, planted):
        pass
    return JsonResponse({"planted": [{"kind": kind.value, "receipt": receipt} for kind, receipt in planted]})


def _wanted(request: HttpRequest) -> tuple[float, float, float, int]:
    given = request.GET
    try:
        start, end = float(given.get("start", 0)), float(given.get("end", time.time()))
        share, seed = float(given.get("drift", 0)), int(given.get("seed", 1))
    except ValueError:
        raise BadRequest("start, end and drift must be numbers, seed a whole one.") from None
    if not (0 <= start <= end < LATEST and 0 <= share <= 1):
        raise BadRequest("start must come before end, and drift be a share from 0 to 1.")
    return start, end, share, seed


reversals = route(GET=_reversals)
operator = route(GET=_plan, POST=_change_plan)
statement_file = route(GET=_statement)
planted = route(GET=_planted)
