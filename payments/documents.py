"""The status document: one function, every route; and what the customer's page shows of it.

`facts` are language-free and can cross a channel; `document` and `screen` put them into the words of the language
that is active when they are called. Seconds are counted by the server, so a wrong clock on a phone does no harm.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from payments import limits, other_money
from payments.models import Reason, Status, Transaction
from payments.phone_numbers import mask, mask_local
from payments.reasons import FOUND_UNPAID, NO_MONEY_TAKEN, WAIT_A_LITTLE, WORDS, next_prompt_at, proves_no_money
from shop.models import Order

STK_PROMPT_LIFETIME = timedelta(seconds=60)  # how long a handset shows the prompt
LATE_MONEY = timedelta(minutes=15)  # a FAILED younger than this may well still become COMPLETED
POLL_SOON, POLL_LATER, POLL_LATE_MONEY = 3, 10, 60  # seconds until the next poll makes sense
SETTLING_DOWN = timedelta(seconds=90)  # after which a page polls less often

Facts = dict[str, Any]


def load_facts(transaction_id: UUID) -> Facts | None:
    """Return the facts of a payment of this environment, or None."""
    payment = (
        Transaction.objects.select_related("order")
        .filter(pk=transaction_id, environment=settings.MPESA_ENVIRONMENT)
        .order_by()
        .first()
    )
    return facts(payment) if payment else None


def facts(payment: Transaction) -> Facts:
    """Return all that can be said about a payment, JSON-able and in no language."""
    order = payment.order
    retry_at, often_until = _retry_at(payment, order)
    return {
        "transaction_id": str(payment.pk),
        "order_id": str(order.pk),
        "order_number": order.number,
        "status": payment.status,
        "reason": payment.reason or None,
        "failed_by": payment.failed_by,
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
        "retry_at": _utc(retry_at),
        "often_until": _utc(often_until),
        "created_at": _utc(payment.created_at),
        "updated_at": _utc(payment.updated_at),
        "expires_at": _utc(payment.expires_at),
        "prompted_at": _utc(payment.prompted_at),
        "completed_at": _utc(payment.completed_at),
        "failed_at": _utc(payment.failed_at),
    }


def _retry_at(payment: Transaction, order: Order) -> tuple[datetime | None, datetime | None]:
    """Return from when on POST /payments/stk-push/ would send another prompt to this phone, None: not at all;
    and the part of that which is only there because there were so many."""
    if payment.status != Status.FAILED or payment.under_review or order.status != Order.Status.OPEN:
        return None, None
    wait_until = [next_prompt_at(payment)]
    for other in order.transactions.exclude(pk=payment.pk).only("status", "under_review", "expires_at"):
        if other.under_review:
            return None, None
        if other.status == Status.PENDING:
            wait_until.append(other.expires_at)
    often_until = max(limits.free_at(order, payment.phone_number), default=None)
    return max(wait_until + ([often_until] if often_until else [])), often_until


def document(facts: Facts) -> dict[str, Any]:
    """Return the contract's status document, in the active language."""
    is_open = facts["status"] == Status.PENDING
    wait = _seconds_until(facts["retry_at"]) if facts["retry_at"] else None
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
        "message": " ".join(_words(facts)[1:]),
        "can_retry": wait == 0,
        "retry_after": wait or None,
        "final": is_final(facts),
        "prompt_expires_in": _prompt_expires_in(facts) if is_open else None,
        "expires_in": _seconds_until(facts["expires_at"]) if is_open else None,
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
    return timezone.now() - _moment(facts["failed_at"]) > LATE_MONEY


def poll_after(facts: Facts) -> int | None:
    """Return in how many seconds the next poll makes sense; None when the document is final."""
    if is_final(facts):
        return None
    if facts["status"] == Status.FAILED:
        return POLL_LATE_MONEY
    young = timezone.now() - _moment(facts["created_at"]) < SETTLING_DOWN
    return POLL_SOON if young else POLL_LATER


def screen(facts: Facts) -> dict[str, Any]:
    """Return the document and all else that the customer's page shows: state, words, links, local times."""
    heading, *details = _words(facts)
    state = _state(facts)
    shown = {
        **document(facts),
        "state": state,
        "tone": {"paid": "ok", "not_paid": "stop", "review": "info", "checking": "info"}.get(state, "wait"),
        "heading": heading,
        "detail": " ".join(details),
        "earlier_paid": facts["earlier_paid"],
        "step": {"sending": 1, "waiting": 2}.get(state, 3),
        "order_number": facts["order_number"],
        "order_url": reverse("order", args=[facts["order_id"]]),
        "payment_url": reverse("payment", args=[facts["transaction_id"]]),
        "receipt_url": reverse("receipt", args=[facts["transaction_id"]]),
        "phone_shown": facts["phone_local"],
        "shop_name": settings.SHOP_NAME,
        "updated_local": _local(facts["updated_at"]),
        "completed_local": _local(facts["completed_at"]),
        "order_due": facts["order_due"],
    }
    if not other_money.is_paid_otherwise(facts):
        return shown
    paid = facts["paid_otherwise"]
    return {**shown, **other_money.shown_of_other(paid), "completed_local": _local(paid["completed_at"])}


def _state(facts: Facts) -> str:
    if facts["status"] == Status.COMPLETED or other_money.is_paid_otherwise(facts):
        return "paid"
    if facts["under_review"]:
        return "review"
    if facts["found_by_hand"]:
        return "checking"
    if facts["status"] == Status.FAILED:
        return "checking" if facts["reason"] in {Reason.EXPIRED, Reason.UNKNOWN} else "not_paid"
    if _prompt_expires_in(facts) == 0:
        return "checking"
    return "waiting" if facts["prompted_at"] else "sending"


def _words(facts: Facts) -> list[str]:
    """Return heading and sentences; only what is known, and "no money was taken" only when that is proven."""
    if facts["status"] == Status.COMPLETED:
        return _words_when_paid(facts)
    if facts["under_review"]:
        words = WORDS[Reason.UNDER_REVIEW]
        return [str(words.heading), str(words.advice)]
    if other_money.is_paid_otherwise(facts):
        return other_money.words_when_paid_otherwise(facts)
    if facts["found_by_hand"]:
        return other_money.words_while_found()
    if facts["status"] == Status.FAILED:
        return _words_when_failed(facts)
    return _words_while_open(facts)


def _words_when_failed(facts: Facts) -> list[str]:
    # Under review no longer, and still with that reason: a supervisor has decided that it is not paid.
    words = FOUND_UNPAID if facts["reason"] == Reason.UNDER_REVIEW else WORDS[facts["reason"]]
    proof = [str(NO_MONEY_TAKEN)] if proves_no_money(facts["reason"], facts["failed_by"]) else []
    if not facts["often_until"] or not _seconds_until(facts["often_until"]):
        return [str(words.heading), *other_money.words_after_part(facts), *proof, str(words.advice)]
    # "Try again whenever you like" would not be true now; all other advice stays.
    advice = [] if facts["reason"] == Reason.CANCELLED else [str(words.advice)]
    return [str(words.heading), *proof, *advice, str(WAIT_A_LITTLE)]


def _words_while_open(facts: Facts) -> list[str]:
    if facts["earlier_paid"] and facts["order_due"]:
        part = other_money.words_after_part(facts)
        return [_("Part of it has arrived"), *part, _("Cancel the request on your phone.")]
    if facts["earlier_paid"]:
        return [_("Your earlier payment arrived"), _("Your earlier payment arrived. Cancel the request on your phone.")]
    if _prompt_expires_in(facts) == 0:
        return [
            _("We are checking"),
            _("Your phone has had time to answer. We are asking M-PESA what happened. Do not pay again yet."),
        ]
    if facts["prompted_at"] is None:
        return [
            _("Asking M-PESA"),
            _(
                "We are asking M-PESA to prompt your phone. If a prompt appears, enter your PIN once. "
                "Do not pay again yet."
            ),
        ]
    return [_("Check your phone"), _("Check your phone and enter your M-PESA PIN.")]


def _words_when_paid(facts: Facts) -> list[str]:
    money = {"amount": f"KES {facts['amount']:,}", "refunded": f"KES {facts['refunded_amount']:,}"}
    if facts["refunded_amount"]:
        return [_("Money sent back"), _("%(refunded)s was sent back to you.") % money]
    if facts["surplus"]:
        twice = _("You paid twice. The shop has been told and will send back %(amount)s.") % money
        return [_("You paid twice"), twice]
    if facts["order_due"]:
        return other_money.words_when_paid_in_part(facts)
    if facts["excess"]:
        return [_("Payment received"), _("Your payment has arrived."), other_money.words_about_excess(facts)]
    if facts["late"]:
        return [_("Payment received"), _("Good news: your payment arrived.")]
    return [_("Payment received"), _("Thank you. Your payment has arrived.")]


def _prompt_expires_in(facts: Facts) -> int:
    """Return the seconds that the phone still shows the prompt, counted from Daraja's acceptance."""
    since = _moment(facts["prompted_at"] or facts["created_at"])
    return _seconds_until(_utc(since + STK_PROMPT_LIFETIME))


def _seconds_until(moment: str | None) -> int:
    return max(0, math.ceil((_moment(moment) - timezone.now()).total_seconds()))


def _moment(text: str | None) -> datetime:
    moment = parse_datetime(text or "")
    if moment is None:
        raise ValueError(text)
    return moment


def _utc(moment: datetime | None) -> str | None:
    return moment.astimezone(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def _local(text: str | None) -> str:
    return date_format(timezone.localtime(_moment(text)), "j M Y, H:i") if text else ""
