"""The customer's words for every reason, and when another prompt makes sense. Page, API and board read this table.

Some codes of one reason ask for different advice; those have a row of their own. "No money was taken" is said only
where a code of Daraja proves it, so it is kept apart from the other words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments.models import Reason, Source, Transaction

SAME_AMOUNT_AGAIN = timedelta(seconds=120)  # M-PESA's rule 17: same amount, same phone
AFTER_QUERY = timedelta(seconds=120)  # from the prompt: a query's failure is weaker than a callback's
# Seconds from the failure until another prompt has a chance, by Daraja's code or else by reason. After every other
# failure that a callback proves the next prompt may go at once.
PAUSES: dict[str, int] = {
    "17": 120,
    Reason.BUSY: 60,  # another request is open on the phone, and lives about a minute; overload ends no sooner
}

NO_MONEY_TAKEN = _("No money was taken.")
WAIT_A_LITTLE = _("There were several requests in a short time. Wait a little, then try again.")
TRY_AGAIN, SEND_AGAIN = _("Try again"), _("Send again")


@dataclass(frozen=True)
class Words:
    """What a customer reads about a failed payment; `again` stands on the button for another prompt.

    `suggests_other_number`: another phone may well succeed where this one did not.
    """

    heading: str | Promise
    advice: str | Promise
    again: str | Promise = TRY_AGAIN
    suggests_other_number: bool = True
    proves_no_money: bool = True


WORDS: dict[str, Words] = {
    Reason.CANCELLED: Words(
        _("You cancelled on your phone"), _("Try again whenever you like."), suggests_other_number=False
    ),
    Reason.INSUFFICIENT_FUNDS: Words(_("Not enough money in M-PESA"), _("Top up, or use Fuliza, then try again.")),
    Reason.WRONG_PIN: Words(
        _("M-PESA did not accept the PIN"),
        _("Try again carefully, or check that this number is registered for M-PESA. Forgotten PIN: dial *334#."),
    ),
    Reason.NO_RESPONSE: Words(
        _("Your phone did not answer"),
        _(
            "The prompt ran out or could not reach your phone. Check that it is on, unlocked and has signal. "
            "Still nothing? Dial *234*1*6# to update an old SIM."
        ),
        SEND_AGAIN,
    ),
    Reason.PROMPT_EXPIRED: Words(
        _("The request ran out of time"), _("Send it again and enter your PIN within a minute."), SEND_AGAIN
    ),
    Reason.BUSY: Words(_("M-PESA is busy"), _("It is not you. Wait a moment, then try again.")),
    Reason.LIMIT: Words(
        _("M-PESA's limit was reached"),
        _("The amount or your day's total is beyond what M-PESA allows. Pay from another number, or ask the shop."),
    ),
    Reason.ACCOUNT: Words(
        _("This M-PESA account cannot pay now"), _("Call Safaricom on 100, or pay from another number.")
    ),
    Reason.NOT_SENT: Words(_("We could not reach your phone"), _("Check the number and try again."), SEND_AGAIN),
    Reason.OUR_FAULT: Words(
        _("The shop has a payment problem"),
        _("We have been told. Try again later or contact the shop."),
        suggests_other_number=False,
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
        suggests_other_number=False,
        proves_no_money=False,
    ),
    Reason.UNDER_REVIEW: Words(
        _("The shop is checking this payment"),
        _("The shop is checking this payment. Do not pay again."),
        proves_no_money=False,
    ),
}

_ANOTHER_OPEN = Words(
    _("Another M-PESA request is open"), _("Finish or close it on your phone, wait a minute, then try again.")
)
_NOT_DELIVERED = Words(_("We could not reach your phone"), _("M-PESA could not deliver the prompt."), SEND_AGAIN)
_NEVER_ASKED = Words(
    _("We could not contact M-PESA"), _("Nothing was sent to your phone."), suggests_other_number=False
)
_CHECK_NUMBER = Words(_("Check the number"), _("Enter a Safaricom number, like 0712 345 678."))
_BY_CODE: dict[tuple[str, str], Words] = {
    (Reason.LIMIT, "17"): Words(
        _("Please wait two minutes"),
        _("M-PESA takes the same amount from the same number only every two minutes."),
    ),
    (Reason.BUSY, "1001"): _ANOTHER_OPEN,
    (Reason.BUSY, "500.001.1001"): _ANOTHER_OPEN,
    (Reason.ACCOUNT, "8006"): Words(
        _("Your M-PESA PIN is locked"), _("Call Safaricom on 100 to unlock it, or pay from another number.")
    ),
    (Reason.NOT_SENT, ""): _NEVER_ASKED,
    (Reason.NOT_SENT, "400.002.02"): _CHECK_NUMBER,
    (Reason.NOT_SENT, "1025"): _NOT_DELIVERED,
    (Reason.NOT_SENT, "9999"): _NOT_DELIVERED,
}

FOUND_UNPAID = Words(
    _("The shop has checked this payment"),
    _("It was not completed. You can pay again. If your money is missing, contact the shop first."),
    proves_no_money=False,
)


def words_for(reason: str, result_code: str = "", *, is_decided: bool = False) -> Words:
    """Return the words for a failed payment; `is_decided`: a supervisor has found that it was not paid."""
    return FOUND_UNPAID if is_decided else _BY_CODE.get((reason, result_code), WORDS[reason])


def proves_no_money(reason: str, failed_by: str) -> bool:
    """Return whether it is proven that no money moved: what a query named once, until time ran out, is no proof."""
    return WORDS[reason].proves_no_money and failed_by != Source.EXPIRY


def next_prompt_at(failed: Transaction) -> datetime:
    """Return from when on the same phone may be prompted for the same order again."""
    failed_at = failed.failed_at or failed.updated_at
    pause = PAUSES.get(failed.result_code) or PAUSES.get(failed.reason, 0)
    moments = [failed_at + timedelta(seconds=pause)]
    if failed.failed_by == Source.QUERY:
        moments.append((failed.prompted_at or failed.created_at) + AFTER_QUERY)
    return max(moments)
