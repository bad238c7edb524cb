"""What a person at the desk may do about one payment. Whether that person may is asked before, by the page.

Every act is a line of the payment's history and one of the admin's log, and whoever watches the payment is told.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.amendments import note_action
from payments.audit import log_action
from payments.checkout import CheckoutRefused, start_checkout
from payments.db import release_connection
from payments.models import Action, Source, Status, Transaction
from payments.reconciler import ask_daraja

ASK_AGAIN_AFTER = timedelta(seconds=10)  # per payment, whoever asks

_ANSWERS = {
    "completed": gettext_lazy("M-PESA says that it is paid."),
    "waiting": gettext_lazy("M-PESA is still waiting for the customer."),
    "named once": gettext_lazy("M-PESA says that it failed; it counts once M-PESA has said so twice."),
    "named again too soon": gettext_lazy("M-PESA says again that it failed; ask once more in ten seconds."),
    "nothing to change": gettext_lazy("M-PESA told nothing new."),
    "unanswered": gettext_lazy("M-PESA gave no usable answer. Ask again in a moment."),
}


class ActRefused(Exception):
    """Nothing was done; `detail` tells the person why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Prompted(NamedTuple):
    """The payment that a prompt was sent for, or tried to be; `problem` is empty when the prompt went out."""

    payment: Transaction
    problem: str


def ask_mpesa(payment: Transaction, *, by: AbstractBaseUser) -> str:
    """Ask Daraja about a payment now and settle its answer; return that in words. Raises `ActRefused`.

    It is the reconciler's own question, from the budget of all workers and with its rule that a failure counts only
    when it is told twice. Daraja is asked outside any database transaction.
    """
    _claim_question(payment, by)
    release_connection()
    outcome = ask_daraja(payment)
    told = "not asked: no question left in the budget" if outcome is None else f"M-PESA: {outcome}"
    payment.refresh_from_db()
    note_action(payment, Action.ASKED, by=by, note=told, source=Source.QUERY)
    if outcome is None:
        raise ActRefused(_("M-PESA cannot be asked just now: this minute's questions are used up. Try again soon."))
    return str(_ANSWERS.get(outcome) or _("M-PESA answered: %(outcome)s.") % {"outcome": outcome})


def _claim_question(payment: Transaction, by: AbstractBaseUser) -> None:
    """Write down that somebody asks, unless somebody just did: the lock makes two clicks at once see each other."""
    if not payment.checkout_request_id:
        raise ActRefused(_("M-PESA never gave this payment a number to ask by."))
    with atomic():
        locked = Transaction.objects.select_for_update(of=("self",), no_key=True).get(pk=payment.pk)
        if locked.status == Status.COMPLETED:
            raise ActRefused(_("This payment is paid: there is nothing to ask."))
        asked = locked.events.filter(action=Action.ASKED, source=Source.STAFF)
        if asked.filter(created_at__gt=timezone.now() - ASK_AGAIN_AFTER).exists():
            raise ActRefused(_("M-PESA was asked about this payment a moment ago. Wait ten seconds."))
        note_action(locked, Action.ASKED, by=by)
        log_action(by, locked, "Asked M-PESA")


def resend(payment: Transaction, *, by: AbstractBaseUser) -> Prompted:
    """Prompt the same phone for the same order again, under the customer's own rules; raises `ActRefused`."""
    prompted = prompt(payment.order_id, payment.phone_number, by=by, action=Action.RESENT)
    note_action(payment, Action.RESENT, by=by, note=f"as {prompted.payment.account_reference}")
    return prompted


def prompt(order_id: UUID, phone_number: str, *, by: AbstractBaseUser, action: Action) -> Prompted:
    """Have a phone prompted on behalf of a customer; raises `ActRefused` when nothing was sent and nothing written.

    Addresses and sessions are not counted: they would be the shop's own. The limits of phone and order hold.
    """
    try:
        checkout = start_checkout(order_id, phone_number)
    except CheckoutRefused as refusal:
        if refusal.payment is None or refusal.code == "payment_open":
            raise ActRefused(refusal.detail) from refusal
        payment, problem = refusal.payment, refusal.detail
    else:
        payment, problem = checkout.payment, ""
        if not checkout.is_new:
            raise ActRefused(_("This phone still has the prompt. Wait until it has ended."))
    note_action(payment, action, by=by)
    log_action(by, payment, str(action.label).capitalize())
    return Prompted(payment, problem)


def add_note(payment: Transaction, *, by: AbstractBaseUser, text: str) -> None:
    """Add a note, which stays as it is written."""
    with atomic():
        note_action(payment, Action.NOTE, by=by, note=text)
        log_action(by, payment, "Added a note")


def see_phone(payment: Transaction, *, by: AbstractBaseUser, why: str) -> str:
    """Return the whole number, as people write it, and write down who has seen it and why."""
    with atomic():
        note_action(payment, Action.SAW_PHONE, by=by, note=why)
        log_action(by, payment, f"Saw the phone number: {why}")
    return f"0{payment.phone_number[3:6]} {payment.phone_number[6:9]} {payment.phone_number[9:]}"
