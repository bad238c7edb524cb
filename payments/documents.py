"""The status document: one function, every route. What the customer's page shows beyond it stands in screen.py.

`facts` are language-free and can cross a channel; `document` puts them into the words of the language that is active
when it is called. Seconds are counted by the server, so a wrong clock on a phone does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from payments import limits, other_money
from payments.models import Reason, Status, Transaction
from payments.moments import read, seconds_until, utc
from payments.phone_numbers import mask, mask_local
from payments.reasons import next_prompt_at
from payments.wording import STK_PROMPT_LIFETIME, seconds_since_prompt_reach, words_of
from prepared import Select, given
from shop.models import Order

LATE_MONEY = timedelta(minutes=15)  # a FAILED younger than this may well still become COMPLETED
POLL_SOON, POLL_LATER, POLL_LATE_MONEY = 3, 10, 60  # seconds until the next poll makes sense
AT_ONCE = 50  # payments whose facts are read by one statement
SETTLING_DOWN = timedelta(seconds=90)  # after which a page polls less often

Facts = dict[str, Any]


def load_facts(transaction_id: UUID) -> Facts | None:
    """Return the facts of a payment of this environment, or None."""
    payment = _payment_with_order.first(id=transaction_id, environment=settings.MPESA_ENVIRONMENT)
    return facts(payment) if payment else None


def load_facts_of(transaction_ids: Sequence[UUID]) -> list[Facts]:
    """Return the facts of those payments that this environment has, in no order; `AT_ONCE` of them cost one query."""
    if len(transaction_ids) == 1:
        found = load_facts(transaction_ids[0])
        return [found] if found else []
    payments: list[Transaction] = []
    for begin in range(0, len(transaction_ids), AT_ONCE):
        some = transaction_ids[begin : begin + AT_ONCE]
        # The statement has so many places, whether or not so many are asked for.
        ids = {name: some[min(place, len(some) - 1)] for place, name in enumerate(_PLACES)}
        payments += _payments_with_orders.all(**ids, environment=settings.MPESA_ENVIRONMENT)
    return [facts(payment) for payment in payments]


_with_orders = Transaction.objects.select_related("order").order_by()
_payment_with_order = Select(
    lambda: _with_orders.filter(pk=given(Transaction, "id"), environment=given(Transaction, "environment")),
    by_key=True,
)
_PLACES = [f"id_{number}" for number in range(AT_ONCE)]
_payments_with_orders = Select(
    lambda: _with_orders.filter(
        pk__in=[given(Transaction, "id", name) for name in _PLACES], environment=given(Transaction, "environment")
    ),
    by_key=True,
)


def facts(payment: Transaction) -> Facts:
    """Return all that can be said about a payment, JSON-able and in no language."""
    order = payment.order
    return {
        "transaction_id": str(payment.pk),
        "order_id": str(order.pk),
        "order_number": order.number,
        "order_status": order.status,
        "status": payment.status,
        "reason": payment.reason or None,
        "failed_by": payment.failed_by,
        "result_code": payment.result_code,
        "version": payment.version,
        "amount": payment.amount,
        "currency": payment.currency,
        "phone_number": mask(payment.phone_number),
        "phone_local": mask_local(payment.phone_number),
        "mpesa_receipt_number": payment.mpesa_receipt_number,
        "late": payment.late,
        "surplus": payment.surplus,
        "earlier_paid": payment.earlier_paid,
        "under_review": payment.under_review,
        "refunded_amount": payment.refunded_amount,
        **other_money.money_facts(payment, order),
        **{name: utc(moment) for name, moment in _waits(payment, order).items()},
        "created_at": utc(payment.created_at),
        "updated_at": utc(payment.updated_at),
        "expires_at": utc(payment.expires_at),
        "prompted_at": utc(payment.prompted_at),
        "completed_at": utc(payment.completed_at),
        "failed_at": utc(payment.failed_at),
    }


def _waits(payment: Transaction, order: Order) -> dict[str, datetime | None]:
    """Return from when on POST /payments/stk-push/ would send another prompt for this order, None: not at all.

    `retry_at` is for this phone, `elsewhere_at` for any other; `often_until` is the part of the first that is only
    there because there were so many.
    """
    waits: dict[str, datetime | None] = {"retry_at": None, "elsewhere_at": None, "often_until": None}
    if payment.status != Status.FAILED or payment.under_review or order.status != Order.Status.OPEN:
        return waits
    others = list(
        order.transactions.filter(environment=payment.environment)
        .exclude(pk=payment.pk)
        .only("status", "under_review", "expires_at")
    )
    if any(other.under_review for other in others):
        return waits
    open_until = [other.expires_at for other in others if other.status == Status.PENDING]
    often = limits.free_at(order, payment.phone_number)
    return {
        "retry_at": max([next_prompt_at(payment), *open_until, *often]),
        "elsewhere_at": max([payment.failed_at or payment.updated_at, *open_until, *limits.order_free_at(order)]),
        "often_until": max(often, default=None),
    }


def document(facts: Facts) -> dict[str, Any]:
    """Return the contract's status document, in the active language."""
    is_open = facts["status"] == Status.PENDING
    wait = seconds_until(facts["retry_at"]) if facts["retry_at"] else None
    return {
        "transaction_id": facts["transaction_id"],
        "order_id": facts["order_id"],
        "status": facts["status"],
        "reason": facts["reason"],
        "version": facts["version"],
        "amount": facts["amount"],
        "currency": facts["currency"],
        "phone_number": facts["phone_number"],
        "mpesa_receipt_number": facts["mpesa_receipt_number"],
        "message": " ".join(words_of(facts)[1:]),
        "can_retry": wait == 0,
        "retry_after": wait or None,
        "final": is_final(facts),
        "prompt_expires_in": seconds_since_prompt_reach(facts, STK_PROMPT_LIFETIME) if is_open else None,
        "expires_in": seconds_until(facts["expires_at"]) if is_open else None,
        "late": facts["late"],
        "surplus": facts["surplus"],
        "refunded_amount": facts["refunded_amount"],
        "created_at": facts["created_at"],
        "updated_at": facts["updated_at"],
        "expires_at": facts["expires_at"],
    }


def is_final(facts: Facts) -> bool:
    """Return whether polling is pointless: paid, nothing was ever sent, or failed too long ago to change."""
    if facts["status"] != Status.FAILED:
        return bool(facts["status"] == Status.COMPLETED)
    if facts["reason"] == Reason.NOT_SENT:
        return True
    return timezone.now() - read(facts["failed_at"]) > LATE_MONEY


def poll_after(facts: Facts) -> int | None:
    """Return in how many seconds the next poll makes sense; None when the document is final."""
    if is_final(facts):
        return None
    if facts["status"] == Status.FAILED:
        return POLL_LATE_MONEY
    young = timezone.now() - read(facts["created_at"]) < SETTLING_DOWN
    return POLL_SOON if young else POLL_LATER
