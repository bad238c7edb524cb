"""Before M-PESA takes money by hand it may ask us whether it should; what we refuse never leaves the customer."""

from __future__ import annotations

from django.conf import settings

from payments.c2b.inbox import is_ours, named
from payments.c2b.message import Message
from shop.models import Order

UNKNOWN_ACCOUNT, WRONG_AMOUNT, OTHER_SHORT_CODE, OTHER = "C2B00012", "C2B00013", "C2B00015", "C2B00016"


def refusal_of(message: Message) -> str:
    """Return M-PESA's code for why this payment must not be taken; empty when it is welcome.

    A till has no account numbers, so there everything is. A part of what is due is welcome, more than that is not.
    """
    if not is_ours(message):
        return OTHER_SHORT_CODE
    if settings.MPESA_TILL_NUMBER and not message.account:
        return ""
    prompt, order = named(message)
    if order is None:
        return UNKNOWN_ACCOUNT
    if order.status != Order.Status.OPEN:
        return OTHER
    too_much = message.amount is None or message.amount > order.amount_due
    return WRONG_AMOUNT if too_much and prompt is None else ""
