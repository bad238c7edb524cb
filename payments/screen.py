"""What the customer's page shows of a payment: the status document, and state, words, links and controls around it.

Nothing here is a control that the server would refuse: what is not possible yet carries the seconds until it is.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments import other_money
from payments.documents import LATE_MONEY, document, is_final
from payments.models import Reason, Status
from payments.moments import local, seconds_until
from payments.reasons import words_for
from payments.wording import (
    SENDING,
    STK_PROMPT_LIFETIME,
    UNHEARD,
    Facts,
    seconds_since_prompt_reach,
    state_of,
    words_of,
)

REFRESH, REFRESH_LATE = 5, 60  # seconds between two looks of a browser that runs no script of ours
NO_PROMPT_YET = 15  # seconds after which a prompt that is not there yet is late

_INFORMED = {"checking", "earlier_paid", "found", "review"}
_CHIPS = {
    "sending": gettext_lazy("Sending"),
    "waiting": gettext_lazy("Waiting for your PIN"),
    "checking": gettext_lazy("Checking with M-PESA"),
    "unheard": gettext_lazy("Not confirmed"),
    "earlier_paid": gettext_lazy("Do not pay again"),
    "found": gettext_lazy("Checking with M-PESA"),
    "review": gettext_lazy("Under review"),
}
_STEPS = {"sending": 1, "waiting": 2, "checking": 3, "unheard": 3}
_TURNS = {"sending": SENDING, "checking": UNHEARD}  # a prompt that is waited for has a clock that people see


def screen(facts: Facts) -> dict[str, Any]:
    """Return the document and all else that the customer's page shows: state, words, controls, links, local times."""
    heading, *details = words_of(facts)
    state = state_of(facts)
    is_open = facts["status"] == Status.PENDING
    shown = {
        **document(facts),
        "state": state,
        "is_open": is_open,
        "tone": _tone(facts, state),
        "chip": _CHIPS.get(state, ""),
        "heading": heading,
        "detail": " ".join(details),
        "step": _STEPS.get(state, 0) if is_open else 0,
        "was_prompted": facts["prompted_at"] is not None,
        "turns_in": _turns_in(facts, state),
        "refresh_every": _refresh_every(facts),
        **_controls(facts, state),
        **_links(facts),
        "order_number": facts["order_number"],
        "phone_shown": facts["phone_local"],
        "shop_name": settings.SHOP_NAME,
        "updated_local": local(facts["updated_at"]),
        "completed_local": local(facts["completed_at"]),
        "order_due": facts["order_due"],
    }
    if facts["status"] == Status.FAILED and facts["paid_otherwise"] and facts["order_due"]:
        shown["amount"] = facts["order_due"]  # what another prompt would ask for
    if not other_money.is_paid_otherwise(facts):
        return shown
    paid = facts["paid_otherwise"]
    return {**shown, **other_money.shown_of_other(paid), "completed_local": local(paid["completed_at"])}


def stopped(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the screen of an open payment for somebody who no longer waits for it: the prompt cannot be recalled."""
    if shown["state"] not in _STEPS or not shown["is_open"]:
        return shown
    words = _("If you still type your PIN, the payment goes through and we will show it here.")
    changed = {
        "state": "stopped",
        "tone": "calm",
        "chip": _("Not waiting"),
        "heading": _("You stopped waiting"),
        "detail": words,
        "step": 0,
        "turns_in": None,
        "can_stop": False,
        "page_url": f"{shown['payment_url']}?stopped",
    }
    return {**shown, **changed}


def _tone(facts: Facts, state: str) -> str:
    if facts["refunded_amount"] or state in _INFORMED:
        return "info"
    return {"paid": "ok", "not_paid": "stop", "unheard": "calm"}.get(state, "wait")


def _turns_in(facts: Facts, state: str) -> int | None:
    """Return the seconds until the page looks different by time alone, None when it never does."""
    if state == "found":
        return other_money.found_turns_in(facts) + 1  # the second more: at its very end the time is not over yet
    if facts["status"] == Status.PENDING:
        return seconds_since_prompt_reach(facts, _TURNS[state]) if state in _TURNS else None
    if is_final(facts):
        return None
    return seconds_until(facts["failed_at"], plus=LATE_MONEY) + 1  # the second more, again


def _refresh_every(facts: Facts) -> int:
    """Return the seconds between two looks without our script, 0 when there is nothing to look for."""
    if facts["status"] == Status.PENDING or other_money.is_found(facts):
        return REFRESH
    soon = facts["retry_at"] and 0 < seconds_until(facts["retry_at"]) <= REFRESH_LATE
    if soon:
        return REFRESH
    return 0 if is_final(facts) else REFRESH_LATE


def _controls(facts: Facts, state: str) -> dict[str, Any]:
    """Return what the customer can do now, besides what `can_retry` and `retry_after` say."""
    waits = state in _STEPS and facts["status"] == Status.PENDING
    prompt = seconds_since_prompt_reach(facts, STK_PROMPT_LIFETIME)
    may_still_come = facts["status"] != Status.COMPLETED and state in {"checking", "unheard"}
    controls = {
        "can_stop": waits,
        "is_slow": waits and prompt <= STK_PROMPT_LIFETIME.seconds - NO_PROMPT_YET,
        "can_check": may_still_come and not is_final(facts),
        "again": "",
        "can_use_other_number": False,
    }
    if facts["status"] == Status.FAILED:
        is_decided = facts["reason"] == Reason.UNDER_REVIEW
        words = words_for(facts["reason"], facts["result_code"], is_decided=is_decided)
        elsewhere = facts["elsewhere_at"]
        controls["again"] = words.again
        controls["can_use_other_number"] = (
            words.suggests_other_number and bool(elsewhere) and seconds_until(elsewhere) == 0
        )
    if state == "found":
        # The server would take another prompt; below "Do not pay again" its button would make people pay twice.
        controls |= {"can_retry": False, "retry_after": None, "can_use_other_number": False}
    return controls


def _links(facts: Facts) -> dict[str, str]:
    payment_url = reverse("payment", args=[facts["transaction_id"]])
    return {
        "order_url": reverse("order", args=[facts["order_id"]]),
        "payment_url": payment_url,
        "page_url": payment_url,
        "check_url": reverse("payment_check", args=[facts["transaction_id"]]),
        "receipt_url": reverse("receipt", args=[facts["transaction_id"]]),
    }
