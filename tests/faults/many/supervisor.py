"""One of the staff who sends payments back and presses the button twice at once; their ids come on standard input.

The last line of the output are the ids of those payments about whose reversal M-PESA can be asked.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import django


def send_back(transaction_ids: list[str]) -> list[str]:
    """Send each back; return those whose acknowledgement came, with the id by which M-PESA knows the reversal."""
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


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    print(json.dumps(send_back(json.load(sys.stdin))))
