"""Daraja's three endpoints, as strict as the real ones: token, push, query."""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from simulator import answers, configuration, courier, credentials, handsets, prompts, push_fields, settling, tokens
from simulator.answers import Refused
from simulator.prompts import Prompt, Push
from simulator.scenarios import RESULTS, Delivery, Outcome, PushAnswer, QueryMode

LARGEST_BODY = 64 * 1024  # bytes
PENDING_CODE = "4999"
_QUERY_ACCEPTED = "The service request has been accepted successsfully"  # three s, as Daraja writes it

View = Callable[..., HttpResponse]


def endpoint(method: str) -> Callable[[View], View]:
    """Make a view of Daraja's: one method, no CSRF token, its refusals in Daraja's envelope, never cached."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @functools.wraps(view)
        def answer(request: HttpRequest) -> HttpResponse:
            try:
                if request.method != method:
                    raise Refused(405, "405.001", "Method Not Allowed")
                response = view(request)
            except Refused as refused:
                response = refused.response()
            response.headers["Cache-Control"] = "no-store"
            # Django would log a failure that is only simulated as one of this server.
            response._has_been_logged = True  # type: ignore[attr-defined]
            return response

        return answer

    return decorate


@csrf_exempt
def not_found(request: HttpRequest, path: str) -> HttpResponse:
    return Refused(404, "404.001.01", "Resource not found").response()


# The token ------------------------------------------------------------------------------------------------------


@endpoint("GET")
def generate_token(request: HttpRequest) -> HttpResponse:
    given = _basic_credentials(request.headers.get("Authorization", ""))
    if given is None:
        raise Refused(400, "400.008.01", "Invalid Authentication passed")
    if request.GET.get("grant_type") != "client_credentials":
        raise Refused(400, "400.008.02", "Invalid grant type passed")
    expected = f"{credentials.consumer_key()}:{credentials.consumer_secret()}".encode()
    if not hmac.compare_digest(given, expected):
        return HttpResponse(status=400, reason="Bad Request: Invalid Credentials")
    if tokens.is_slow():
        time.sleep(configuration.seconds(configuration.TOKEN))
    token = tokens.issue(credentials.consumer_key())
    return JsonResponse({"access_token": token, "expires_in": tokens.EXPIRES_IN})


def _basic_credentials(header: str) -> bytes | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def check_bearer(request: HttpRequest, status: int, code: str) -> None:
    """Raise Refused unless the token is the last one; the endpoints differ in how they say so."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(404, "404.001.04", "Invalid Authentication Header")
    if not tokens.is_valid(token, credentials.consumer_key()):
        raise Refused(status, code, "Invalid Access Token")


def json_body(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of a request. Daraja blames the first field for a wrong content type."""
    if request.content_type != "application/json":
        raise answers.bad_field("BusinessShortCode")
    try:
        body = request.body
        data = json.loads(body) if len(body) <= LARGEST_BODY else None
    except (ValueError, RecursionError, RequestDataTooBig, UnreadablePostError):
        data = None
    if not isinstance(data, dict):
        raise Refused(400, "400.002.05", "Invalid Request Payload")
    return data


# The push -------------------------------------------------------------------------------------------------------


@endpoint("POST")
def process_request(request: HttpRequest) -> HttpResponse:
    check_bearer(request, 404, "404.001.03")
    data = json_body(request)
    try:
        push = push_fields.read_push(data)
    except Refused as refused:
        prompts.note_refusal(_phone_in(data), refused.status, refused.message)
        raise
    time.sleep(configuration.seconds(configuration.PUSH))
    answer = handsets.get(push.phone_number).plan.push
    if answer is PushAnswer.SLOW_TOKEN and tokens.goes_stale(credentials.consumer_key(), push.phone_number):
        raise Refused(404, "404.001.03", "Invalid Access Token")
    if not answer.prompts:
        response = answers.refusal(answer)
        prompts.note_refusal(push.phone_number, response.status_code, answer.label)
        return response
    return _accepted(_prompt(push), answer)


def _phone_in(data: dict[str, Any]) -> str:
    """Return the phone that a refused push names, as far as it names one."""
    return handsets.normalised(str(data.get("PhoneNumber"))) or ""


def _prompt(push: Push) -> Prompt:
    """Prompt the phone; in one scenario the callback is even delivered before the push is answered."""
    prompt = prompts.open_prompt(push)
    if handsets.get(push.phone_number).plan.delivery is Delivery.BEFORE_ANSWER and prompt.planned_outcome:
        settling.settle(prompt.id, Outcome(prompt.planned_outcome), is_held=True)
        courier.deliver_held(prompt.id)
    courier.wake()
    return prompt


def _accepted(prompt: Prompt, answer: PushAnswer) -> HttpResponse:
    body = {
        "MerchantRequestID": prompt.merchant_request_id,
        "CheckoutRequestID": prompt.checkout_request_id,
        "ResponseCode": "0",
        "ResponseDescription": "Success. Request accepted for processing",
        "CustomerMessage": "Success. Request accepted for processing",
    }
    if answer is PushAnswer.LOST:
        return answers.cut_off(body)
    if answer is PushAnswer.GATEWAY:
        return answers.gateway_timeout()
    return JsonResponse(body)


# The query ------------------------------------------------------------------------------------------------------


@endpoint("POST")
def query(request: HttpRequest) -> HttpResponse:
    check_bearer(request, 400, "400.003.01")
    prompt = prompts.find(push_fields.read_query(json_body(request)))
    if prompt is None:
        raise Refused(500, "500.001.1001", "The transaction does not Exist")
    asked = prompts.count_query(prompt)
    if prompt.query == QueryMode.THROTTLED:
        return answers.throttled()
    now = time.time()
    if now < prompt.pushed_at + configuration.seconds(configuration.QUERY_READY):
        raise answers.bad_field("CheckoutRequestID")
    if prompt.outcome is None or (prompt.told_at or 0) > now:
        return _pending(prompt)
    if prompt.query == QueryMode.FLAKY and asked % 2:
        raise Refused(500, "500.001.1001", "The transaction is being processed")
    result = RESULTS[Outcome(prompt.outcome)]
    return _told(prompt, str(result.code), result.query_desc or result.desc)


def _pending(prompt: Prompt) -> HttpResponse:
    if prompt.query == QueryMode.CLASSIC:
        raise Refused(500, "500.001.1001", "The transaction is being processed")
    if prompt.query == QueryMode.ODD:
        return Refused(200, "500.001.1001", "").response()
    return _told(prompt, PENDING_CODE, "The transaction is still under processing")


def _told(prompt: Prompt, code: str, desc: str) -> HttpResponse:
    return JsonResponse(
        {
            "ResponseCode": "0",
            "ResponseDescription": _QUERY_ACCEPTED,
            "MerchantRequestID": prompt.merchant_request_id,
            "CheckoutRequestID": prompt.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": desc,
        }
    )
