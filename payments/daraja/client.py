"""Ask Daraja: `stk_push` prompts a phone, `stk_query` asks what became of it. Neither is ever repeated on its own.

What a failure means for the money:

    DarajaError
    ├── DarajaRefused        Daraja's own code says no: nobody is prompted, no money moves
    │   └── DarajaThrottled  … because it was asked too often, or is busy
    ├── DarajaUnreachable    nothing was sent: nobody is prompted, trying again is safe
    └── OutcomeUnknown       sent, and no usable answer: the prompt may be on the phone, the customer may pay

The failure of a query says nothing about the payment it asked about.

django-daraja 1.3.0 builds the requests. It reads base URL, clock, token and HTTP client from globals of its modules,
without timeouts, tills or a lock around its token, so its functions run here over names of ours (`_with_names`).
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import FunctionType
from typing import Any

import structlog
from django.conf import settings
from django_daraja.mpesa.core import MpesaClient
from django_daraja.mpesa.exceptions import (
    IllegalPhoneNumberException,
    MpesaConfigurationException,
    MpesaConnectionError,
    MpesaInvalidParameterException,
)
from django_daraja.mpesa.utils import generate_access_token_request

from payments.daraja import access_token, transport
from payments.daraja.access_token import Grant
from payments.daraja.codes import SUCCESS
from payments.daraja.errors import DarajaError, DarajaRefused, DarajaThrottled, DarajaUnreachable, OutcomeUnknown
from payments.daraja.results import Answer, Fault, QueryAnswer, code_text, is_id, parse_query
from payments.db import release_connection
from payments.models import Reason
from payments.phone_numbers import mask

__all__ = [
    "DarajaError",
    "DarajaRefused",
    "DarajaThrottled",
    "DarajaUnreachable",
    "OutcomeUnknown",
    "PushAccepted",
    "QueryAnswer",
    "stk_push",
    "stk_query",
]

EAST_AFRICA_TIME = timezone(timedelta(hours=3))  # no daylight saving
DEFAULT_TOKEN_LIFETIME = 3599  # seconds
LONGEST_TOKEN_LIFETIME = 86_400  # seconds; a nonsense value must not keep a dead token
_TOKEN = re.compile(r"[!-~]{1,255}")  # goes into a header
_TOO_MANY_REQUESTS = 429

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PushAccepted:
    """Daraja has queued the prompt; the ids are Daraja's, `merchant_request_id` empty if it gave none."""

    merchant_request_id: str
    checkout_request_id: str


def stk_push(
    *, phone_number: str, amount: int, account_reference: str, transaction_desc: str, callback_url: str
) -> PushAccepted:
    """Have Daraja prompt `phone_number` (254…) for `amount` whole KES; its result goes to `callback_url`.

    `account_reference` (at most 12 letters and digits) and `transaction_desc` (1–13) show on the customer's phone.
    Call it outside any database transaction. Raises DarajaError; the tree says what each means for the money.
    """
    arguments = (phone_number, amount, account_reference, transaction_desc, callback_url)
    with one_line("daraja.push", phone=mask(phone_number), amount=amount) as line:
        accepted = _accepted(ask(lambda token: _push(token, *arguments)))
        line["outcome"] = "accepted"
        return accepted


def stk_query(*, checkout_request_id: str) -> QueryAnswer:
    """Ask Daraja what became of a push. A success brings no receipt and no amount.

    Call it outside any database transaction. Raises DarajaThrottled when nobody should ask for a while, another
    DarajaError when there is no answer.
    """
    with one_line("daraja.query") as line:
        answer = ask(lambda token: _query(token, checkout_request_id))
        _refuse_unheard(answer)
        told = parse_query(answer, checkout_request_id=checkout_request_id)
        line |= {"outcome": told.outcome, "result_code": told.result_code}
        return told


def ask(send: Callable[[str], Answer]) -> Answer:
    """Send with the shared token; if Daraja refuses that token, once more with a new one. It did nothing before."""
    token = access_token.current(_fetch_token)
    release_connection()
    answer = send(token)
    if not answer.refuses_token:
        return answer
    token = access_token.current(_fetch_token, rejected=token)
    release_connection()
    return send(token)


def check_credentials() -> None:
    """Have a token, as every other call would; raises what those would raise where Daraja gives none."""
    access_token.current(_fetch_token)
    release_connection()


# What goes out --------------------------------------------------------------------------------------------------


def _with_names(function: Any, **names: Any) -> Callable[..., Any]:
    """Return django-daraja's function with some of its module's names replaced, for this copy of it only.

    Replacing them in the module itself would change them under every other thread.
    """
    return FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__)


class _Requests:
    """What django-daraja finds as `requests`: our transport, and our errors where it looks for a lost connection."""

    class exceptions:
        ConnectionError = DarajaError

    @staticmethod
    def get(url: str, auth: tuple[str, str]) -> Answer:
        return transport.get(url, auth=auth)

    @staticmethod
    def post(url: str, json: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        return transport.post(url, data=_for_till(json), headers=headers)


class _NairobiClock:
    @staticmethod
    def now() -> datetime:
        return datetime.now(EAST_AFRICA_TIME)


def base_url() -> str:
    """Return where Daraja is, with a slash at the end."""
    return f"{settings.DARAJA_BASE_URL.rstrip('/')}/"


def _for_till(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Turn a pay bill's push into a till's, where there is one; BusinessShortCode stays that of the store."""
    if not settings.MPESA_TILL_NUMBER:
        return payload
    return {**payload, "TransactionType": "CustomerBuyGoodsOnline", "PartyB": settings.MPESA_TILL_NUMBER}


def _push(token: str, *arguments: Any) -> Answer:
    stk_push = _with_names(
        MpesaClient.stk_push,
        requests=_Requests,
        api_base_url=base_url,
        datetime=_NairobiClock,
        mpesa_access_token=lambda: token,
        mpesa_response=lambda answer: answer,
    )
    with _our_errors():
        answer: Answer = stk_push(MpesaClient(), *arguments)  # type: ignore[no-untyped-call]
        return answer


@contextmanager
def _our_errors() -> Iterator[None]:
    """Give back the error that django-daraja replaced by one which no longer says whether anything was sent."""
    try:
        yield
    except MpesaConnectionError as error:
        if isinstance(error.__context__, DarajaError):
            raise error.__context__ from None
        raise OutcomeUnknown(str(error)) from error
    except (
        IllegalPhoneNumberException,
        MpesaConfigurationException,
        MpesaInvalidParameterException,
        UnicodeEncodeError,  # a passkey that is not ASCII
    ) as error:
        raise DarajaRefused("", f"Not sent: {type(error).__name__}", Reason.OUR_FAULT) from error


def _query(token: str, checkout_request_id: str) -> Answer:
    timestamp = _NairobiClock.now().strftime("%Y%m%d%H%M%S")
    password = f"{settings.MPESA_SHORTCODE}{settings.MPESA_PASSKEY}{timestamp}"
    data = {
        "BusinessShortCode": settings.MPESA_SHORTCODE,
        "Password": base64.b64encode(password.encode()).decode(),
        "Timestamp": timestamp,
        "CheckoutRequestID": checkout_request_id,
    }
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return transport.post(f"{base_url()}mpesa/stkpushquery/v1/query", data=data, headers=headers)


def _fetch_token() -> Grant:
    """Ask Daraja for a new token, which kills the last one.

    Raises DarajaRefused when the credentials are wrong, DarajaUnreachable when there was no usable answer.
    """
    request = _with_names(generate_access_token_request, requests=_Requests, api_base_url=base_url)
    with _our_errors():
        answer: Answer = request()
    return _grant(answer)


# What comes back ------------------------------------------------------------------------------------------------


def _grant(answer: Answer) -> Grant:
    data = answer.data or {}
    token = data.get("access_token")
    if answer.is_ok and isinstance(token, str) and _TOKEN.fullmatch(token):
        return Grant(token, _lifetime(data.get("expires_in")))
    error = refusal(answer, unlisted=DarajaUnreachable)
    if not isinstance(error, DarajaRefused) and _refuses_credentials(answer):
        code, message = answer.fault or Fault("", "")
        raise DarajaRefused(code or str(answer.status), message or "No token", Reason.OUR_FAULT)
    raise error


def _refuses_credentials(answer: Answer) -> bool:
    """Return whether key or secret are wrong: Daraja says so with 400 and an empty body."""
    is_empty = not answer.body.strip()
    return answer.status == 401 or (answer.status == 400 and (is_empty or answer.fault is not None))


def _lifetime(expires_in: Any) -> float:
    """Return seconds; Daraja writes them as a string or as a number."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return DEFAULT_TOKEN_LIFETIME
    return seconds if 0 < seconds <= LONGEST_TOKEN_LIFETIME else DEFAULT_TOKEN_LIFETIME


def _accepted(answer: Answer) -> PushAccepted:
    """Return the ids of an accepted push; everything that is neither a clear yes nor a clear no is unknown."""
    if answer.status == _TOO_MANY_REQUESTS or answer.fault:
        raise refusal(answer, unlisted=OutcomeUnknown)
    data = answer.data or {}
    checkout_request_id = data.get("CheckoutRequestID")
    if not answer.is_ok or code_text(data.get("ResponseCode")) != SUCCESS or not is_id(checkout_request_id):
        raise OutcomeUnknown(f"HTTP {answer.status} without an accepted push")
    merchant_request_id = data.get("MerchantRequestID")
    return PushAccepted(merchant_request_id if is_id(merchant_request_id) else "", checkout_request_id)


def refusal(answer: Answer, *, unlisted: type[DarajaError]) -> DarajaError:
    """Return the error for a refusal: by code and message, for the HTTP status alone means nothing, 429 excepted."""
    code, message = answer.fault or Fault("", "")
    meaning = Fault(code, message).meaning
    if answer.status == _TOO_MANY_REQUESTS or (meaning and meaning.is_throttle):
        return DarajaThrottled(code or str(answer.status), message, Reason.BUSY)
    if meaning:
        return DarajaRefused(code, message, meaning.reason)
    return unlisted(f"HTTP {answer.status} {code} {message}".strip())


def _refuse_unheard(answer: Answer) -> None:
    """Raise unless Daraja took in the question: throttled, wrongly set up, or not Daraja at all."""
    meaning = answer.fault.meaning if answer.fault else None
    if answer.status == _TOO_MANY_REQUESTS or (meaning and (meaning.is_throttle or meaning.reason == Reason.OUR_FAULT)):
        raise refusal(answer, unlisted=OutcomeUnknown)
    if answer.data is None:
        raise OutcomeUnknown(f"HTTP {answer.status} without JSON")


@contextmanager
def one_line(event: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Log one line about one request, without token or CheckoutRequestID; the block names the outcome."""
    started = time.perf_counter()
    line: dict[str, Any] = {"outcome": "crashed", **facts}
    try:
        yield line
    except DarajaError as error:
        line |= {"outcome": error.outcome, "error": str(error)}
        if isinstance(error, DarajaRefused):
            line["reason"] = error.reason.value
        raise
    finally:
        log.info(event, ms=round((time.perf_counter() - started) * 1000), **line)
