"""Tell Daraja where confirmations of payments by hand go: once in the life of a production shortcode."""

from __future__ import annotations

from django.conf import settings

from payments.daraja import transport
from payments.daraja.client import ask, base_url, one_line, refusal
from payments.daraja.codes import SUCCESS
from payments.daraja.errors import DarajaError, OutcomeUnknown
from payments.daraja.results import Answer, code_text

_REGISTERED_BEFORE = "already registered"
_TOO_MANY_REQUESTS = 429


class RegisteredBefore(DarajaError):
    """The shortcode has its URLs, and Daraja changes them only under self-service on its portal."""

    outcome = "registered before"


def register_urls(*, confirmation_url: str, validation_url: str, complete_when_silent: bool = True) -> None:
    """Register both URLs for the shop's shortcode. Raises RegisteredBefore, or another DarajaError.

    `complete_when_silent`: what M-PESA does with a payment when validation is on and the shop does not answer in
    time: take it, or cancel it.
    """
    data = {
        "ShortCode": settings.MPESA_SHORTCODE,
        "ResponseType": "Completed" if complete_when_silent else "Cancelled",  # in sentence case, or it is refused
        "ConfirmationURL": confirmation_url,
        "ValidationURL": validation_url,
    }

    def send(token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return transport.post(f"{base_url()}mpesa/c2b/v2/registerurl", data=data, headers=headers)

    with one_line("daraja.c2b_register") as line:
        _check(ask(send))
        line["outcome"] = "registered"


def _check(answer: Answer) -> None:
    if answer.fault and _REGISTERED_BEFORE in answer.fault.message.lower():
        raise RegisteredBefore(answer.fault.message)
    if answer.status == _TOO_MANY_REQUESTS or answer.fault:
        raise refusal(answer, unlisted=OutcomeUnknown)
    if not answer.is_ok or code_text((answer.data or {}).get("ResponseCode")) not in {SUCCESS, "00000000"}:
        raise OutcomeUnknown(f"HTTP {answer.status} without a registration")
