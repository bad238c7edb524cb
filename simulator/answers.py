"""How Daraja answers: its error envelope, its odd ones, and what comes when something stands between."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse, JsonResponse

from simulator import identifiers
from simulator.scenarios import PushAnswer

FIREWALL_PAGE = (
    "<html><head><title>Request Rejected</title></head><body>The requested URL was rejected. "
    "Please consult with your administrator.<br><br>Your support ID is: 1234567890</body></html>"
)
GATEWAY_PAGE = "<html><head><title>504 Gateway Time-out</title></head><body><h1>504 Gateway Time-out</h1></body></html>"
_MISSING = 64  # bytes that a cut-off answer promises and never sends


class Refused(Exception):
    """Daraja says no, in its usual envelope."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> HttpResponse:
        body = {"requestId": identifiers.merchant_request_id(), "errorCode": self.code, "errorMessage": self.message}
        return JsonResponse(body, status=self.status)


def bad_field(name: str) -> Refused:
    return Refused(400, "400.002.02", f"Bad Request - Invalid {name}")


def wrong_credentials() -> Refused:
    return Refused(500, "500.001.1001", "Wrong credentials")


_REFUSALS = {
    PushAnswer.SUBSCRIBER_LOCKED: (
        500,
        "500.001.1001",
        "Unable to lock subscriber, a transaction is already in process for the current subscriber",
    ),
    PushAnswer.SYSTEM_BUSY: (500, "500.003.02", "System is busy. Please try again in few minutes."),
    PushAnswer.INVALID_PHONE: (400, "400.002.02", "Bad Request - Invalid PhoneNumber"),
    PushAnswer.WRONG_CREDENTIALS: (500, "500.001.1001", "Wrong credentials"),
    PushAnswer.INTERNAL_ERROR: (500, "500.003.1001", "Internal Server Error"),
}


def refusal(answer: PushAnswer) -> HttpResponse:
    """Return the answer to a push that prompts nobody."""
    if answer is PushAnswer.FIREWALL:
        return HttpResponse(FIREWALL_PAGE, status=403)
    if answer is PushAnswer.THROTTLED:
        return throttled()
    return Refused(*_REFUSALS[answer]).response()


def throttled() -> HttpResponse:
    """Return the gateway's own answer to too many requests."""
    fault = {
        "faultstring": "Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=5, periodInMicroseconds="
        "60000000, maxBurstMessageCount=1.0}",
        "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
    }
    return JsonResponse({"fault": fault}, status=429)


def gateway_timeout() -> HttpResponse:
    return HttpResponse(GATEWAY_PAGE, status=504)


def cut_off(body: dict[str, Any]) -> HttpResponse:
    """Return half of an answer under the length of a whole one: no client ever gets the rest."""
    text = json.dumps(body)
    half = HttpResponse(text[: len(text) // 2], content_type="application/json")
    half.headers["Content-Length"] = str(len(text) + _MISSING)
    return half
