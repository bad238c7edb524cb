"""What Daraja answers to a prompt that it takes in: the ids by which alone it can be asked about the payment later.

Lost, they would leave a payment whose callback is lost as well unknown for ever, though the phone may have paid. So
while the database is away they wait on disk, beside the callbacks.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError
from django.db.transaction import atomic

from payments import clock, spool
from payments.agenda import first_check
from payments.amendments import put_under_review
from payments.daraja.client import PushAccepted
from payments.db import take_or_put_aside
from payments.history import open_discrepancy
from payments.inbox import match_orphans
from payments.models import Discrepancy, Source, Status, Transaction
from payments.settlement import ask_now
from payments.spool import Arrived

ROUTE = "prompt"


def keep_ids(payment: Transaction, accepted: PushAccepted) -> bool:
    """Save Daraja's ids, unless a callback that was faster brought them; False when they wait on disk.

    Raises `spool.SpoolFull` or OSError when neither database nor disk can take them.
    """
    return take_or_put_aside(lambda: _save(payment, accepted, clock.now()), lambda: _put_aside(payment.pk, accepted))


def _put_aside(transaction_id: UUID, accepted: PushAccepted) -> bool:
    spool.append(transaction_id, json.dumps(asdict(accepted)).encode(), None, route=ROUTE)
    return False


def _save(payment: Transaction, accepted: PushAccepted, prompted_at: datetime) -> bool:
    ids = {
        "merchant_request_id": accepted.merchant_request_id or None,
        "checkout_request_id": accepted.checkout_request_id,
    }
    try:
        with atomic():
            mine = Transaction.objects.filter(pk=payment.pk)
            mine.filter(status=Status.PENDING).update(check_after=first_check(payment, prompted_at))
            if not mine.filter(checkout_request_id=None).update(prompted_at=prompted_at, **ids):
                mine.update(prompted_at=prompted_at)
            payment.refresh_from_db()
            if payment.checkout_request_id != accepted.checkout_request_id:
                _ids_differ(payment, accepted.checkout_request_id)
    except IntegrityError:
        # Daraja gave an id that another payment holds: the token still brings this payment's callback home.
        Transaction.objects.filter(pk=payment.pk).update(prompted_at=prompted_at)
        _ids_differ(payment, accepted.checkout_request_id)
    else:
        match_orphans(accepted.checkout_request_id)
    return True


def _ids_differ(payment: Transaction, checkout_request_id: str) -> None:
    open_discrepancy(payment, Discrepancy.Kind.IDS_DIFFER, push_answer=checkout_request_id)
    put_under_review(payment.pk, source=Source.PUSH, note="Daraja's answer names other ids than its callback")


def _take(arrived: Arrived) -> None:
    """Save ids that waited on disk, and have Daraja asked at once: what came meanwhile may be lost as well."""
    try:
        accepted = PushAccepted(**json.loads(arrived.body))
    except (TypeError, ValueError):
        raise spool.NotOurs from None
    payment = Transaction.objects.filter(id__in=[arrived.transaction_id]).first()
    if payment is not None:
        _save(payment, accepted, arrived.received_at)
        ask_now(payment.pk)


spool.takers[ROUTE] = _take
