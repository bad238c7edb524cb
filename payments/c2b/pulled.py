"""M-PESA's own list of payments confirms what waits, and brings what no confirmation ever told us of.

Unlike Transaction Status the list names the account, so here a lie about whose money it is comes to light.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.conf import settings

from payments.books.movements import Line
from payments.c2b import verification
from payments.c2b.counting import OPEN_STATES, count
from payments.c2b.inbox import keep_told
from payments.c2b.message import LONGEST_REFERENCE, Message, whole_kes
from payments.c2b.verification import Told
from payments.models import Confirmation, Transaction


def take_listed(lines: Iterable[Line]) -> int:
    """Count the listed payments that are not counted yet; return how many lines were new to us."""
    listed = {line.receipt: line for line in lines if line.cents_in}
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, mpesa_receipt_number__in=listed)
    for receipt in mine.values_list("mpesa_receipt_number", flat=True):
        listed.pop(receipt or "", None)
    for line in listed.values():
        _take(line)
    return len(listed)


def _take(line: Line) -> None:
    amount, account = Decimal(line.cents_in) / 100, line.account_reference[:LONGEST_REFERENCE]
    verification.hear(Told(line.receipt, "completed", amount, account=account))
    if Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, mpesa_receipt_number=line.receipt).exists():
        return
    known = Confirmation.objects.filter(environment=settings.MPESA_ENVIRONMENT, trans_id=line.receipt, is_trusted=True)
    if known.filter(state__in=[*OPEN_STATES, Confirmation.State.SET_ASIDE]).exists():
        return  # staff have it before them, or have seen to it
    told = keep_told(Message(line.receipt, whole_kes(amount), account, "", ""), how="Pull Transactions")
    count(told, note="M-PESA lists it")
