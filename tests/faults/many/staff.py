"""What only the shop's staff can do and see: `… staff send_back`, `… staff waiting`; ids come on standard input.

The last line of the output are the ids that the task answers with.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import django


def send_back(transaction_ids: list[str]) -> list[str]:
    """Send payments back and press the button twice at once; return those about whose reversal M-PESA can be asked."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from payments import refunds
    from payments.models import Refund, Transaction

    supervisor, _is_new = get_user_model().objects.get_or_create(username="rig", is_superuser=True, is_staff=True)

    def send(refund: Refund) -> None:
        refunds.send(Refund.objects.get(pk=refund.pk))
        connection.close()

    with ThreadPoolExecutor(8) as fingers:
        for payment in Transaction.objects.filter(pk__in=transaction_ids):
            refund = refunds.request_reversal(payment.pk, amount=payment.amount, reason="Sent back", by=supervisor)
            for _press in range(2):
                fingers.submit(send, refund)
    mine = Refund.objects.filter(transaction__in=transaction_ids, conversation__originator_conversation_id__gt="")
    return [str(pk) for pk in mine.values_list("transaction", flat=True)]


def waiting(wanted: list[str]) -> list[str]:
    """Return the receipts of payments by hand, and the ids of payments sent back, that staff are shown as undecided."""
    from payments.models import Confirmation, Discrepancy, ReceiptClaim
    from payments.refunds.decisions import waiting_for_person

    shown = [
        *Confirmation.objects.filter(state=Confirmation.State.UNMATCHED).values_list("trans_id", flat=True),
        *ReceiptClaim.objects.filter(state=ReceiptClaim.State.FOR_STAFF).values_list("code", flat=True),
        *Discrepancy.objects.filter(resolved_at=None).values_list("transaction__mpesa_receipt_number", flat=True),
        *map(str, waiting_for_person().values_list("transaction", flat=True)),
    ]
    return sorted({*wanted} & {*shown})


TASKS = {"send_back": send_back, "waiting": waiting}

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    print(json.dumps(TASKS[sys.argv[1]](json.load(sys.stdin))))
