"""Daraja's endpoints for the shop's API operator: Reversal, Transaction Status, Pull Transactions, the certificate."""

from __future__ import annotations

import re
import time
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from simulator import answers, conversations, courier, identifiers, operator_fields, operators, record
from simulator.answers import Refused
from simulator.conversations import Answer, Asked
from simulator.daraja import check_bearer, endpoint, json_body
from simulator.push_fields import matching, url_field

PAGE = 100  # rows of Pull
PULLED_BACK = 48 * 3600  # seconds; older payments are not listed
_PHONE = re.compile(r"254[17][0-9]{8}")


@require_GET
def certificate(request: HttpRequest) -> HttpResponse:
    """Publish what the shop encrypts its operator's password with."""
    return HttpResponse(operators.certificate(), content_type="application/x-x509-ca-cert")


@endpoint("POST")
def reversal(request: HttpRequest) -> HttpResponse:
    check_bearer(request, 401, "401.002.01")
    return _answered(operator_fields.read_reversal(json_body(request)))


@endpoint("POST")
def transaction_status(request: HttpRequest) -> HttpResponse:
    check_bearer(request, 401, "401.002.01")
    return _answered(operator_fields.read_transaction_status(json_body(request)))


def _answered(asked: Asked) -> HttpResponse:
    """Carry the request out, and answer as planned: well, badly, or not so that anybody could read it."""
    planned = conversations.plan(asked.kind)
    if not planned.answer.acts:
        return _refusal(planned.answer)
    acknowledged = conversations.carry_out(asked, planned)
    courier.wake()
    if planned.answer is Answer.LOST:
        return answers.cut_off(acknowledged)
    if planned.answer is Answer.GATEWAY:
        return answers.gateway_timeout()
    return JsonResponse(acknowledged)


def _refusal(answer: Answer) -> HttpResponse:
    if answer is Answer.FIREWALL:
        return HttpResponse(answers.FIREWALL_PAGE, status=403)
    if answer is Answer.THROTTLED:
        return answers.throttled()
    if answer is Answer.SYSTEM_BUSY:
        return Refused(500, "500.003.02", "System is busy. Please try again in few minutes.").response()
    return Refused(500, "500.003.1001", "Internal Server Error").response()


@endpoint("POST")
def pull_register(request: HttpRequest) -> HttpResponse:
    check_bearer(request, 401, "401.001")
    data = json_body(request)
    matching(data, "NominatedNumber", _PHONE)
    url_field(data, "CallBackURL")
    reply = {"ResponseRefID": identifiers.merchant_request_id(), "ResponseStatus": "1001", "ShortCode": "as given"}
    return JsonResponse({**reply, "ResponseDescription": "ShortCode already Registered"})


@endpoint("POST")
def pull_query(request: HttpRequest) -> HttpResponse:
    """List the payments of a window, a page at a time; nothing older than two days, and only what came in."""
    check_bearer(request, 401, "401.001")
    start, end, offset = operator_fields.read_pull(json_body(request))
    query = "SELECT * FROM payments WHERE paid_at >= ? AND paid_at <= ? ORDER BY paid_at, receipt LIMIT ? OFFSET ?"
    with record.reading() as db:
        rows = db.execute(query, [max(start, time.time() - PULLED_BACK), end + 0.999, PAGE, offset]).fetchall()
    found = {"ResponseCode": "1000", "ResponseMessage": "Success"}
    none = {"ResponseCode": "1001", "ResponseMessage": "No transactions found"}
    reply = {"ResponseRefID": identifiers.merchant_request_id(), **(found if rows else none)}
    return JsonResponse({**reply, "Response": [[_pulled(row) for row in rows]]})


def _pulled(row: Any) -> dict[str, Any]:
    number = row["phone_number"]
    return {
        "transactionId": row["receipt"],
        "trxDate": f"{identifiers.nairobi(row['paid_at']):%Y-%m-%dT%H:%M:%S}Z",
        "msisdn": f"{number[:6]}***{number[-3:]}",
        "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": row["account_reference"],
        "amount": f"{row['amount']}.00",
        "organizationname": "Simulated Shop",
    }
