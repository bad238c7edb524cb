"""M-PESA's own word about a receipt: asked for, waited for, compared with what was posted to us.

`check_after` is the queue, as for prompts: a row is claimed by an UPDATE of it, so any number of reconcilers may run
and any of them may be killed. The answer comes later, on a URL with a token of its own, or never: then we ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import structlog
from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from payments.amendments import announce_pause
from payments.c2b import rescue
from payments.c2b.counting import count, finish, stop_announcing
from payments.c2b.message import account_named, may_be_same_phone, whole_kes
from payments.history import open_discrepancy
from payments.models import Confirmation, Discrepancy, ReceiptClaim
from prepared import Select, given

log = structlog.get_logger(__name__)

State = Confirmation.State
GAPS = (10, 30, 60, 300, 900, 3_600, 21_600, 86_400)  # seconds between questions about one receipt
DENIED_AGAIN = timedelta(seconds=30)  # "no such payment" counts when it is said twice, this far apart
OFTEN = 4  # questions; beyond, one that Daraja would not hear comes when the next would have come anyway
BATCH = 100  # receipts a pass


@dataclass(frozen=True)
class Told:
    """M-PESA's own word about one receipt.

    `completed`, or `denied`: there is no such payment, or it did not go through; anything else is `open`. `amount`:
    KES. `account` and `msisdn`: None or empty where M-PESA does not say.
    """

    trans_id: str
    outcome: Literal["completed", "denied", "open"]
    amount: Decimal | None = None
    account: str | None = None
    msisdn: str = ""
    is_final: bool = False  # a denial that needs no repetition: M-PESA knows the payment, and it did not go through


def hear(told: Told) -> None:
    """Apply M-PESA's word to everything that waits for it."""
    waiting = _waiting().filter(trans_id=told.trans_id).order_by("pk")
    if told.outcome == "completed":
        agreeing = [one for one in waiting if not _contradicted(one, told)]
        for confirmation in agreeing:
            _confirm(confirmation)
        rescue.hear_completed(told.trans_id, whole_kes(told.amount), told.msisdn)
    elif told.outcome == "denied":
        for confirmation in waiting:
            _deny(confirmation, told)
        rescue.hear_denied(told.trans_id, is_final=told.is_final, again_after=DENIED_AGAIN)
    log.info("receipt.told", receipt=told.trans_id, outcome=told.outcome)


def _waiting() -> QuerySet[Confirmation]:
    """Return what M-PESA is asked about: what counts for nothing yet, and what was believed at once."""
    mine = Confirmation.objects.filter(environment=settings.MPESA_ENVIRONMENT, is_trusted=False)
    return mine.filter(state__in=(State.CHECKING, State.COUNTED)).exclude(check_after=None)


def _contradicted(confirmation: Confirmation, told: Told) -> bool:
    """Refuse a confirmation that says something else than M-PESA; return whether it did."""
    difference = _difference(confirmation, told)
    if difference:
        _refuse(confirmation, f"M-PESA names another {difference}")
    return bool(difference)


def _difference(confirmation: Confirmation, told: Told) -> str:
    if told.amount != confirmation.amount:
        return "amount"
    if told.account is not None and account_named(told.account) != account_named(confirmation.bill_ref_number):
        return "account"
    if told.msisdn and confirmation.msisdn and not may_be_same_phone(told.msisdn, confirmation.msisdn):
        return "phone"
    return ""


def _refuse(confirmation: Confirmation, why: str) -> None:
    """Refuse what counts for nothing yet; what was believed at once stays counted, and staff are told."""
    if confirmation.state != State.COUNTED:
        finish(confirmation, State.REFUSED, why)
        return
    Confirmation.objects.filter(pk=confirmation.pk).update(check_after=None, outcome=f"believed, and not true: {why}")
    payment = confirmation.transaction
    if payment is not None:
        open_discrepancy(payment, Discrepancy.Kind.CONTRADICTION, receipt=confirmation.trans_id, why=why)


def _confirm(confirmation: Confirmation) -> None:
    Confirmation.objects.filter(pk=confirmation.pk).update(is_trusted=True)
    if confirmation.state == State.COUNTED:
        Confirmation.objects.filter(pk=confirmation.pk).update(check_after=None)
    else:
        count(confirmation, note="M-PESA confirms it")


def _deny(confirmation: Confirmation, told: Told) -> None:
    """Refuse what M-PESA twice did not know: a receipt that is only just made may not be found at once."""
    now = timezone.now()
    if told.is_final or (confirmation.denied_at and now - confirmation.denied_at >= DENIED_AGAIN):
        _refuse(confirmation, "M-PESA knows no such payment")
    elif confirmation.denied_at is None:
        Confirmation.objects.filter(pk=confirmation.pk).update(denied_at=now)


# Asking ---------------------------------------------------------------------------------------------------------


_some_confirmation = Select(
    lambda: (
        Confirmation.objects.filter(
            environment=given(Confirmation, "environment"),
            is_trusted=False,
            state__in=(State.CHECKING, State.COUNTED),
            check_after__lte=given(Confirmation, "check_after", "now"),
        )
        .order_by()
        .values_list("pk")[:1]
    )
)
_some_claim = Select(
    lambda: (
        ReceiptClaim.objects.filter(
            environment=given(ReceiptClaim, "environment"),
            state=ReceiptClaim.State.LOOKING,
            check_after__isnull=False,
        )
        .order_by()
        .values_list("pk")[:1]
    )
)


def is_anything_waiting() -> bool:
    """Return whether a receipt or a customer's claim may have to be looked at: asked four times a second, mostly no."""
    mine = settings.MPESA_ENVIRONMENT
    if _some_claim.row(environment=mine) is not None:
        return True
    return _some_confirmation.row(environment=mine, now=timezone.now()) is not None


def due(room: int = BATCH) -> list[str]:
    """Return the receipts whose question is due, those that are asked for the first time first."""
    now = timezone.now()
    posted = _waiting().filter(check_after__lte=now).values_list("checks", "check_after", "trans_id")
    claimed = _claims().filter(check_after__lte=now).values_list("checks", "check_after", "code")
    first = [row for rows in (posted, claimed) for row in rows.order_by("checks", "check_after")[:room]]
    return list(dict.fromkeys(receipt for _checks, _check_after, receipt in sorted(first)))[:room]


def _claims() -> QuerySet[ReceiptClaim]:
    mine = ReceiptClaim.objects.filter(environment=settings.MPESA_ENVIRONMENT, state=ReceiptClaim.State.LOOKING)
    return mine.exclude(check_after=None)


def claim(receipt: str) -> bool:
    """Put the next question about a receipt off; whoever does so first, and gets True, asks this one."""
    now = timezone.now()
    posted = [_put_off(Confirmation, one, now) for one in _waiting().filter(trans_id=receipt, check_after__lte=now)]
    claimed = [_put_off(ReceiptClaim, one, now) for one in _claims().filter(code=receipt, check_after__lte=now)]
    return any(posted + claimed)


def _put_off(model: type[Confirmation] | type[ReceiptClaim], one: Confirmation | ReceiptClaim, now: datetime) -> bool:
    mine = model._default_manager.filter(pk=one.pk, check_after=one.check_after)
    is_mine = bool(mine.update(check_after=next_check(one.checks, now), checks=F("checks") + 1))
    if is_mine and one.checks >= len(GAPS):
        _stop_waiting(one)
    return is_mine


def ask_again(receipt: str, at: datetime) -> None:
    """Have a receipt that Daraja would not hear of asked about at `at`, and tell the pages that wait for it.

    The question counts among `GAPS` all the same: a receipt that is throttled each time comes after all others, and
    ever more rarely.
    """
    _claims().filter(code=receipt, check_after__gt=at, checks__lte=OFTEN).update(check_after=at)
    waiting = _waiting().filter(trans_id=receipt)
    waiting.filter(check_after__gt=at, checks__lte=OFTEN).update(check_after=at)
    for order_id in set(waiting.filter(transaction=None).exclude(order=None).values_list("order", flat=True)):
        announce_pause(order_id, note="M-PESA wants quiet, and is asked again after it")


def _stop_waiting(one: Confirmation | ReceiptClaim) -> None:
    """M-PESA was asked often enough: from here on it is for staff."""
    if isinstance(one, Confirmation):
        stop_announcing(one)
    else:
        ReceiptClaim.objects.filter(pk=one.pk).update(state=ReceiptClaim.State.FOR_STAFF)


def next_check(checks: int, now: datetime) -> datetime | None:
    """Return when to ask again after so many questions; None: no more, staff have to look."""
    return now + timedelta(seconds=GAPS[checks]) if checks < len(GAPS) else None
