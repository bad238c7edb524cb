"""What the simulated customer, network and Daraja do; by phone number, or as the handset page chooses.

| Number | What happens |
|---|---|
| 0712 000 001 | the customer cancels (1032) |
| 0712 000 002 | the wallet holds too little (1) |
| 0712 000 003 | the customer types a wrong PIN (2001) |
| 0712 000 004 | nobody answers the phone (1037) |
| 0712 000 005 | the request expires (1019) |
| 0712 000 006 | the push is refused: unable to lock subscriber |
| 0712 000 007 | the push is refused: system is busy |
| 0712 000 008 | the customer pays by itself, after a second |
| 0712 000 009 | pays, but the callback is lost |
| 0712 000 010 | pays, but callback and query tell only after the shop gave up |
| 0712 000 011 | pays, and the callback comes twice at once |
| 0712 000 012 | pays, and the callback comes before the push is answered |
| 0712 000 013 | pays, but the callback names another amount |
| 0712 000 014 | pays, and a failure (1037) comes before the success |
| 0712 000 015 | the push is refused: Invalid PhoneNumber |
| 0712 000 016 | pays, but the push's answer is lost on the way |
| 0712 000 017 | the push meets a firewall: an HTML page with 403 |
| 0712 000 018 | the push is throttled: 429 |
| 0712 000 019 | fails with a code that no list has (E3008) |
| 0712 000 020 | pays, and the callback is true but oddly written |
| 0712 000 021 | pays, but the callback is cut off in the middle |
| 0712 000 022 | pays, but the callback names an unknown CheckoutRequestID |
| 0712 000 023 | pays, but the callback names no amount |
| 0712 000 024 | the push fails with an internal error of Daraja, and nobody is prompted |
| 0712 000 025 | nothing ever comes: no callback, and the query stays pending |
| 0712 000 026 | pays, the callback is lost, and every second query fails |
| 0712 000 027 | refused as too soon: the same amount within two minutes (17) |
| 0712 000 028 | the prompt cannot be sent to the phone (1025) |
| 0712 000 029 | the customer's PIN is locked (8006) |
| 0712 000 030 | pays, but a gateway answers the push with 504 |
| 0712 000 031 | pays, and a failure (1032) comes after the success |
| 0712 000 032 | pays, the callback is lost, and queries are throttled: 429 |
| 0712 000 033 | the push is refused: wrong credentials |
| 0712 000 034 | pays, the callback is lost, and pending queries answer in the classic way: HTTP 500 |
| 0712 000 035 | pays, the callback is lost, and pending queries answer 200 with an error in it |
| 0712 000 036 | pays, but first the token is stale, and the new one is slow to come |

Every other number asks the person at its handset page, and all goes well. A number of the table can be given other
ways on its handset page or through the control API, and any other number the table's.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices


class Outcome(TextChoices):
    """What becomes of a prompt."""

    ASK = "ask", "decides on this screen"
    PAID = "paid", "pays by itself"
    CANCELLED = "cancelled", "cancels"
    INSUFFICIENT_FUNDS = "insufficient_funds", "has too little in the wallet"
    WRONG_PIN = "wrong_pin", "types a wrong PIN"
    NO_RESPONSE = "no_response", "does not answer"
    EXPIRED = "expired", "lets the request expire"
    BUSY = "busy", "has another request open"
    SYSTEM_BUSY = "system_busy", "meets a busy M-PESA"
    LIMIT = "limit", "has just paid the same amount"
    NOT_SENT = "not_sent", "is never shown the prompt"
    PIN_LOCKED = "pin_locked", "has a locked PIN"
    PRODUCT = "product", "is not allowed to pay this shop"
    UNLISTED = "unlisted", "fails with an unlisted code"
    SILENT = "silent", "is never heard of again"


class Delivery(TextChoices):
    """What the network does with the callback of a prompt."""

    ONCE = "once", "once, as it should"
    LOST = "lost", "lost"
    LATE = "late", "late"
    AFTER_EXPIRY = "after_expiry", "after the shop gave up"
    TWICE = "twice", "twice at once"
    THREE_TIMES = "three_times", "three times at once"
    BEFORE_ANSWER = "before_answer", "before the push answer (pays unasked)"
    WRONG_AMOUNT = "wrong_amount", "with a wrong amount"
    OUT_OF_ORDER = "out_of_order", "out of order: failure, then success"
    CONTRADICTED = "contradicted", "contradicted: success, then failure"
    ODD = "odd", "true but oddly written"
    MALFORMED = "malformed", "cut off in the middle"
    UNKNOWN_ID = "unknown_id", "with an unknown id"
    NO_AMOUNT = "no_amount", "without an amount"


class PushAnswer(TextChoices):
    """What Daraja answers to a push; after the last four the phone is prompted all the same."""

    SUBSCRIBER_LOCKED = "subscriber_locked", "refused: unable to lock subscriber"
    SYSTEM_BUSY = "system_busy", "refused: system is busy"
    INVALID_PHONE = "invalid_phone", "refused: Invalid PhoneNumber"
    WRONG_CREDENTIALS = "wrong_credentials", "refused: wrong credentials"
    INTERNAL_ERROR = "internal_error", "internal server error"
    FIREWALL = "firewall", "an HTML page with 403"
    THROTTLED = "throttled", "throttled: 429"
    ACCEPTED = "accepted", "accepted"
    LOST = "lost", "accepted, but the answer is lost"
    GATEWAY = "gateway", "accepted, but a gateway answers 504"
    SLOW_TOKEN = "slow_token", "accepted, after a stale token and a slow new one"

    @property
    def prompts(self) -> bool:
        return self in {PushAnswer.ACCEPTED, PushAnswer.LOST, PushAnswer.GATEWAY, PushAnswer.SLOW_TOKEN}


class QueryMode(TextChoices):
    """How Daraja answers queries about a payment."""

    PLAIN = "plain", "plainly: 4999 while pending"
    CLASSIC = "classic", "HTTP 500 while pending"
    ODD = "odd", "HTTP 200 with an error while pending"
    FLAKY = "flaky", "every second time not at all"
    THROTTLED = "throttled", "throttled: 429"


@dataclass(frozen=True)
class Plan:
    """What happens to the pushes of one phone."""

    outcome: Outcome = Outcome.ASK
    delivery: Delivery = Delivery.ONCE
    push: PushAnswer = PushAnswer.ACCEPTED
    query: QueryMode = QueryMode.PLAIN


def _pays(delivery: Delivery, push: PushAnswer = PushAnswer.ACCEPTED, query: QueryMode = QueryMode.PLAIN) -> Plan:
    return Plan(Outcome.PAID, delivery, push, query)


FIRST_NUMBER = 254712000001
_PLANS = (
    Plan(Outcome.CANCELLED),
    Plan(Outcome.INSUFFICIENT_FUNDS),
    Plan(Outcome.WRONG_PIN),
    Plan(Outcome.NO_RESPONSE),
    Plan(Outcome.EXPIRED),
    Plan(push=PushAnswer.SUBSCRIBER_LOCKED),
    Plan(push=PushAnswer.SYSTEM_BUSY),
    _pays(Delivery.ONCE),
    _pays(Delivery.LOST),
    _pays(Delivery.AFTER_EXPIRY),
    _pays(Delivery.TWICE),
    _pays(Delivery.BEFORE_ANSWER),
    _pays(Delivery.WRONG_AMOUNT),
    _pays(Delivery.OUT_OF_ORDER),
    Plan(push=PushAnswer.INVALID_PHONE),
    _pays(Delivery.ONCE, PushAnswer.LOST),
    Plan(push=PushAnswer.FIREWALL),
    Plan(push=PushAnswer.THROTTLED),
    Plan(Outcome.UNLISTED),
    _pays(Delivery.ODD),
    _pays(Delivery.MALFORMED),
    _pays(Delivery.UNKNOWN_ID),
    _pays(Delivery.NO_AMOUNT),
    Plan(push=PushAnswer.INTERNAL_ERROR),
    Plan(Outcome.SILENT),
    _pays(Delivery.LOST, query=QueryMode.FLAKY),
    Plan(Outcome.LIMIT),
    Plan(Outcome.NOT_SENT),
    Plan(Outcome.PIN_LOCKED),
    _pays(Delivery.ONCE, PushAnswer.GATEWAY),
    _pays(Delivery.CONTRADICTED),
    _pays(Delivery.LOST, query=QueryMode.THROTTLED),
    Plan(push=PushAnswer.WRONG_CREDENTIALS),
    _pays(Delivery.LOST, query=QueryMode.CLASSIC),
    _pays(Delivery.LOST, query=QueryMode.ODD),
    _pays(Delivery.ONCE, PushAnswer.SLOW_TOKEN),
)
BY_NUMBER = {str(FIRST_NUMBER + index): plan for index, plan in enumerate(_PLANS)}


def documented() -> list[tuple[str, str]]:
    """Return the table above as rows: the number as 254…, and what happens."""
    rows = [line.strip("| ").split(" | ") for line in (__doc__ or "").splitlines() if line.startswith("| 07")]
    return [(f"254{number.replace(' ', '')[1:]}", text) for number, text in rows]


@dataclass(frozen=True)
class Result:
    """How Daraja words an outcome; `query_desc` where the query says it in other words than the callback."""

    code: int | str
    desc: str
    query_desc: str = ""


RESULTS = {
    Outcome.PAID: Result(0, "The service request is processed successfully."),
    Outcome.CANCELLED: Result(1032, "Request cancelled by user"),
    Outcome.INSUFFICIENT_FUNDS: Result(1, "The balance is insufficient for the transaction."),
    Outcome.WRONG_PIN: Result(2001, "The initiator information is invalid."),
    Outcome.NO_RESPONSE: Result(1037, "No response from user.", "DS timeout user cannot be reached."),
    Outcome.EXPIRED: Result(1019, "Transaction has expired"),
    Outcome.BUSY: Result(
        1001, "Unable to lock subscriber, a transaction is already in process for the current subscriber"
    ),
    Outcome.SYSTEM_BUSY: Result(26, "System busy. The service request is rejected."),
    Outcome.LIMIT: Result(17, "Rule limited."),
    Outcome.NOT_SENT: Result(1025, "An error occurred while sending a push request."),
    Outcome.PIN_LOCKED: Result(8006, "The security credential is locked."),
    Outcome.PRODUCT: Result(2028, "The request is not permitted according to product assignment."),
    Outcome.UNLISTED: Result("E3008", "Error, the user has a bad debt contract."),
}
