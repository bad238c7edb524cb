"""What a payment's page says of money that came for its order in another way: by hand, in parts, by another attempt."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from payments.c2b.announced import announced
from payments.models import Channel, Status, Transaction
from payments.moments import seconds_until, utc
from payments.phone_numbers import mask_local
from shop.models import Order


def money_facts(payment: Transaction, order: Order) -> dict[str, Any]:
    """Return, in no language, what came for the order besides this payment and what is still due; whole KES."""
    by_hand = announced(order) if payment.found_by_hand else None  # the usual case costs no query
    return {
        "order_due": order.amount_due if order.status == Order.Status.OPEN else 0,
        "order_paid": order.status == Order.Status.PAID,
        "excess": payment.excess,
        "found_by_hand": payment.found_by_hand,
        "found_until": utc(by_hand.until) if by_hand else None,
        "asked_at": utc(by_hand.asked_at) if by_hand else None,
        "paid_otherwise": _newest_other(payment, order),
    }


def _newest_other(payment: Transaction, order: Order) -> dict[str, Any] | None:
    """Return the newest money that came for the order, for a page whose own payment brought none."""
    if payment.status == Status.COMPLETED or not order.amount_paid:
        return None  # the usual case costs no query
    others = order.transactions.filter(environment=payment.environment, status=Status.COMPLETED)
    paid = others.order_by("-completed_at").first()
    if paid is None:
        return None
    return {
        "transaction_id": str(paid.pk),
        "by_hand": paid.channel == Channel.C2B,
        "amount": paid.amount,
        "mpesa_receipt_number": paid.mpesa_receipt_number,
        "phone_local": mask_local(paid.phone_number),
        "completed_at": paid.completed_at.isoformat() if paid.completed_at else None,
    }


def is_paid_otherwise(facts: dict[str, Any]) -> bool:
    """Return whether other money has paid the order, so that this page has nothing more to ask for.

    Not while an earlier prompt's late money found this one open on the phone: there it must first be cancelled.
    """
    paid = facts["paid_otherwise"]
    if facts["under_review"] or not (paid and facts["order_paid"]):
        return False
    return bool(paid["by_hand"]) or facts["status"] == Status.FAILED


def shown_of_other(paid: dict[str, Any]) -> dict[str, Any]:
    """Return what the page of an unpaid attempt shows of the payment that has paid the order instead."""
    return {
        "amount": paid["amount"],
        "mpesa_receipt_number": paid["mpesa_receipt_number"],
        "phone_shown": paid["phone_local"],
        "receipt_url": reverse("receipt", args=[paid["transaction_id"]]),
        "paid_otherwise": True,
        "can_retry": False,
        "retry_after": None,
    }


def words_when_paid_otherwise(facts: dict[str, Any]) -> list[str]:
    """Say what has paid the order, and that a prompt which may still come is not to be answered."""
    paid = facts["paid_otherwise"]
    by_hand = _("Paid by hand, receipt %(receipt)s.") % _named(paid)
    words = [_("Payment received"), by_hand if paid["by_hand"] else _("Another payment has paid this order.")]
    if facts["status"] == Status.PENDING:
        words.append(_("If a prompt still comes to your phone, cancel it."))
    return words


def is_found(facts: dict[str, Any]) -> bool:
    """Return whether the page says "found" and offers no prompt: a payment by hand was announced, and just now."""
    return bool(facts["found_by_hand"] and found_turns_in(facts))


def found_turns_in(facts: dict[str, Any]) -> int:
    """Return the seconds until the page says something else of a payment by hand by time alone; 0: no more."""
    moments = [seconds_until(facts[name]) for name in ("asked_at", "found_until") if facts[name]]
    return min((seconds for seconds in moments if seconds), default=0)


def words_while_found(facts: dict[str, Any]) -> list[str]:
    """Say that a payment by hand is here and M-PESA's own word is not, yet, and when M-PESA is asked if not now."""
    words = [
        _("Payment found"),
        _("We have found your payment by hand, and M-PESA is confirming it. Do not pay again."),
    ]
    wait = seconds_until(facts["asked_at"]) if facts["asked_at"] else 0
    return [*words, words_about_pause(wait)] if wait else words


def words_about_pause(seconds: int) -> str:
    return _("M-PESA needs a short pause: we ask in about %(seconds)s seconds.") % {"seconds": seconds}


def words_while_unconfirmed(facts: dict[str, Any]) -> list[str]:
    """Say what stays true once "found" is over; whoever has paid must not do it again."""
    return [words_about_unconfirmed()] if facts["found_by_hand"] else []


def words_about_unconfirmed() -> str:
    return _(
        "A payment by hand was announced for this order, and M-PESA has not confirmed it yet. "
        "If it is yours, do not pay again."
    )


def words_after_part(facts: dict[str, Any]) -> list[str]:
    """Say, on an unpaid page, what has come for the order already and what is still due; nothing if nothing came."""
    paid = facts["paid_otherwise"]
    if not paid or not facts["order_due"]:
        return []
    return [_("%(amount)s has arrived, receipt %(receipt)s.") % _named(paid), still_due(facts)]


def still_due(facts: dict[str, Any]) -> str:
    return _("%(due)s is still due.") % {"due": _kes(facts["order_due"])}


def words_when_paid_in_part(facts: dict[str, Any]) -> list[str]:
    """Say, on the page of a part, that it came and what is still due."""
    arrived = _("%(amount)s has arrived.") % {"amount": _kes(facts["amount"])}
    return [_("Part of it has arrived"), arrived, still_due(facts)]


def words_about_excess(facts: dict[str, Any]) -> str:
    words = _("%(excess)s was more than was due. The shop has been told and will send it back.")
    return words % {"excess": _kes(facts["excess"])}


def _named(paid: dict[str, Any]) -> dict[str, str]:
    return {"receipt": paid["mpesa_receipt_number"] or "", "amount": _kes(paid["amount"])}


def _kes(amount: int) -> str:
    return f"KES {amount:,}"
