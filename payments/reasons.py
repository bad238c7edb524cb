"""The customer's words for every reason, and when another prompt makes sense. Page, API and board read this table.

"No money was taken" is said only where a code of Daraja proves it, so it is kept apart from the other words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments.models import Reason, Source, Transaction

AFTER_BUSY = timedelta(seconds=60)
SAME_AMOUNT_AGAIN = timedelta(seconds=120)  # M-PESA's rule 17: same amount, same phone
AFTER_QUERY = timedelta(seconds=120)  # from the prompt: a query's failure is weaker than a callback's
LIMIT_SAME_AMOUNT = "17"

NO_MONEY_TAKEN = _("No money was taken.")
WAIT_A_LITTLE = _("There were several requests in a short time. Wait a little, then try again.")


@dataclass(frozen=True)
class Words:
    """What a customer reads about a failed payment."""

    heading: str | Promise
    advice: str | Promise
    proves_no_money: bool = True


WORDS: dict[str, Words] = {
    Reason.CANCELLED: Words(_("You cancelled on your phone"), _("Try again whenever you like.")),
    Reason.INSUFFICIENT_FUNDS: Words(_("Not enough money in M-PESA"), _("Top up, or use Fuliza, then try again.")),
    Reason.WRONG_PIN: Words(
        _("M-PESA did not accept the PIN"),
        _("Try again carefully, or check that this number is registered for M-PESA. Forgotten PIN: dial *334#."),
    ),
    Reason.NO_RESPONSE: Words(
        _("Your phone did not answer"),
        _("Check that it is on, unlocked and has signal, then try again. Old SIM? Dial *234*1*6#."),
    ),
    Reason.PROMPT_EXPIRED: Words(_("The request ran out of time"), _("Try again and enter your PIN within a minute.")),
    Reason.BUSY: Words(
        _("M-PESA is busy"), _("Finish or close any M-PESA request on your phone, wait a minute, then try again.")
    ),
    Reason.LIMIT: Words(
        _("M-PESA's limit was reached"), _("Wait two minutes and try again, or pay from another number.")
    ),
    Reason.ACCOUNT: Words(
        _("This M-PESA account cannot pay now"), _("Call Safaricom on 100, or pay from another number.")
    ),
    Reason.NOT_SENT: Words(_("We could not reach your phone"), _("Check the number and try again.")),
    Reason.OUR_FAULT: Words(
        _("The shop has a payment problem"), _("We have been told. Try again later or contact the shop.")
    ),
    Reason.EXPIRED: Words(
        _("We have not heard back from M-PESA"),
        _("If you got an M-PESA SMS, your money is safe and we will confirm it here. Otherwise try again."),
        proves_no_money=False,
    ),
    Reason.UNKNOWN: Words(
        _("M-PESA gave an answer we do not know"),
        _(
            "If you got an M-PESA SMS, your money is safe and we will confirm it here. "
            "Contact the shop before you pay again."
        ),
        proves_no_money=False,
    ),
    Reason.UNDER_REVIEW: Words(
        _("The shop is checking this payment"),
        _("The shop is checking this payment. Do not pay again."),
        proves_no_money=False,
    ),
}

FOUND_UNPAID = Words(
    _("The shop has checked this payment"),
    _("It was not completed. You can pay again. If your money is missing, contact the shop first."),
    proves_no_money=False,
)


def proves_no_money(reason: str, failed_by: str) -> bool:
    """Return whether it is proven that no money moved: what a query named once, until time ran out, is no proof."""
    return WORDS[reason].proves_no_money and failed_by != Source.EXPIRY


def next_prompt_at(failed: Transaction) -> datetime:
    """Return from when on the same phone may be prompted for the same order again."""
    failed_at = failed.failed_at or failed.updated_at
    if failed.reason == Reason.BUSY:
        return failed_at + AFTER_BUSY
    if failed.result_code == LIMIT_SAME_AMOUNT:
        return failed_at + SAME_AMOUNT_AGAIN
    if failed.failed_by == Source.QUERY:
        return (failed.prompted_at or failed.created_at) + AFTER_QUERY
    return failed_at
