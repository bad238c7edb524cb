"""What a customer reads about a payment: the state it is in for them, a heading and sentences; only what is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from payments import other_money
from payments.models import Reason, Status
from payments.moments import seconds_until
from payments.reasons import NO_MONEY_TAKEN, WAIT_A_LITTLE, WORDS, proves_no_money, words_for
from shop.models import Order

SENDING = timedelta(seconds=10)  # how long an answer to the push may take before we call it checking
STK_PROMPT_LIFETIME = timedelta(seconds=60)  # how long a handset shows the prompt, from Daraja's acceptance
UNHEARD = timedelta(seconds=120)  # from the prompt: an answer would have come by now

Facts = dict[str, Any]


def state_of(facts: Facts) -> str:
    """Return what a payment is to its customer: `sending`, `waiting`, `checking` and `unheard` while it is open,
    `earlier_paid` when another attempt paid meanwhile, `found` when it was paid by hand and M-PESA has not confirmed it
    yet, `review`, `not_paid`, `paid`."""
    if facts["status"] == Status.COMPLETED or other_money.is_paid_otherwise(facts):
        return "paid"
    if facts["under_review"]:
        return "review"
    if other_money.is_found(facts):
        return "found"
    if facts["status"] == Status.FAILED:
        return "unheard" if facts["reason"] in {Reason.EXPIRED, Reason.UNKNOWN} else "not_paid"
    if facts["earlier_paid"]:
        return "earlier_paid"
    if not seconds_since_prompt_reach(facts, UNHEARD):
        return "unheard"
    asked = facts["prompted_at"] is not None
    still = seconds_since_prompt_reach(facts, STK_PROMPT_LIFETIME if asked else SENDING)
    return ("waiting" if asked else "sending") if still else "checking"


def seconds_since_prompt_reach(facts: Facts, after: timedelta) -> int:
    """Return in how many seconds the prompt, or while Daraja has not answered the request, is so old."""
    return seconds_until(facts["prompted_at"] or facts["created_at"], plus=after)


def words_of(facts: Facts) -> list[str]:
    """Return heading and sentences; "no money was taken" only when that is proven."""
    state = state_of(facts)
    if state == "paid":
        paid_here = facts["status"] == Status.COMPLETED
        return _when_paid(facts) if paid_here else other_money.words_when_paid_otherwise(facts)
    if state == "review":
        words = WORDS[Reason.UNDER_REVIEW]
        return [str(words.heading), str(words.advice)]
    if state == "found":
        return other_money.words_while_found(facts)
    said = _when_failed(facts) if facts["status"] == Status.FAILED else _while_open(facts, state)
    return said + other_money.words_while_unconfirmed(facts)


def _when_failed(facts: Facts) -> list[str]:
    # Under review no longer, and still with that reason: a supervisor has decided that it is not paid.
    is_decided = facts["reason"] == Reason.UNDER_REVIEW
    words = words_for(facts["reason"], facts["result_code"], is_decided=is_decided)
    part = other_money.words_after_part(facts)
    said = [str(words.heading), *part]
    if facts["reason"] == Reason.UNKNOWN and facts["result_code"]:
        said.append(_("M-PESA's code is %(code)s.") % {"code": facts["result_code"]})
    # Beside "KES 600 has arrived" it would be read as a lie, though it is true of this prompt.
    by_hand = part or facts["found_by_hand"]
    if proves_no_money(facts["reason"], facts["failed_by"]) and not is_decided and not by_hand:
        said.append(str(NO_MONEY_TAKEN))
    return said + _advice_when_failed(facts, str(words.advice))


def _advice_when_failed(facts: Facts, advice: str) -> list[str]:
    if facts["order_status"] == Order.Status.CANCELLED:
        return [_("The order was cancelled.")]
    if not facts["often_until"] or not seconds_until(facts["often_until"]):
        return [advice]
    # "Try again whenever you like" would not be true now; all other advice stays.
    return ([] if facts["reason"] == Reason.CANCELLED else [advice]) + [str(WAIT_A_LITTLE)]


def _while_open(facts: Facts, state: str) -> list[str]:
    if state == "earlier_paid" and facts["order_due"]:
        part = other_money.words_after_part(facts)
        return [_("Part of it has arrived"), *part, _("Cancel the request on your phone.")]
    if state == "earlier_paid":
        return [_("Your earlier payment arrived"), _("Your earlier payment arrived. Cancel the request on your phone.")]
    if state == "waiting":
        return [_("Check your phone"), _("Check your phone and enter your M-PESA PIN.")]
    if state == "unheard":
        words = _("If you got an M-PESA SMS, your money is safe: we will confirm it here. You can close this page.")
        return [_("We have not heard back from M-PESA"), words]
    if facts["prompted_at"] is None:
        heading = _("Asking M-PESA") if state == "sending" else _("We are checking with M-PESA")
        once = _("If a prompt appears on your phone, enter your PIN once. Do not pay again yet.")
        return [heading, once]
    return [
        _("We are checking"),
        _("Your phone has had time to answer. We are asking M-PESA what happened. Do not pay again yet."),
    ]


def _when_paid(facts: Facts) -> list[str]:
    money = {"amount": f"KES {facts['amount']:,}", "refunded": f"KES {facts['refunded_amount']:,}"}
    if facts["refunded_amount"]:
        return [_("Money sent back"), _("%(refunded)s was sent back to you.") % money]
    if facts["surplus"]:
        number = {"reference": facts["mpesa_receipt_number"] or facts["order_number"]}
        twice = _("You paid twice. The shop has been told and will send back %(amount)s; reference %(reference)s.")
        return [_("Two payments arrived"), twice % {**money, **number}]
    if facts["order_due"]:
        return other_money.words_when_paid_in_part(facts)
    if facts["excess"]:
        return [_("Payment received"), _("Your payment has arrived."), other_money.words_about_excess(facts)]
    thanks = [_("Good news: your payment arrived.")] if facts["late"] else []
    return [_("Payment received"), *thanks, *_what_comes_next(facts)]


def _what_comes_next(facts: Facts) -> list[str]:
    """Say that the shop has started only where it has: a cancelled or half-paid order is for people to sort out."""
    if facts["order_status"] == Order.Status.PAID:
        return [_("Asante! %(shop)s has started on your order.") % {"shop": settings.SHOP_NAME}]
    if facts["order_status"] == Order.Status.CANCELLED:
        told = _("The order had been cancelled. The shop has been told: %(contact)s.")
        return [told % {"contact": settings.SHOP_CONTACT}]
    return [] if facts["late"] else [_("Thank you. Your payment has arrived.")]
