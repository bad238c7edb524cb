"""What is written down about a payment beside its state: the lines of its history, and what does not fit."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import structlog
from django.contrib.auth.models import AbstractBaseUser

from payments.models import Callback, Discrepancy, Source, Status, Transaction, TransactionEvent
from prepared import insert

log = structlog.get_logger(__name__)


def record(
    payment: Transaction,
    *,
    source: Source,
    note: str = "",
    old_status: str = "",
    result_code: str = "",
    callback: Callback | None = None,
    by: AbstractBaseUser | None = None,
    action: str = "",
) -> None:
    """Write one line of the payment's history; evidence that changed nothing is a line too.

    `by` and `action`: who of the staff did what, where a person was the cause.
    """
    line = TransactionEvent(
        transaction=payment,
        version=payment.version,
        old_status=old_status or payment.status,
        new_status=payment.status,
        reason=payment.reason,
        source=source,
        note=note[:250],
        result_code=result_code or payment.result_code,
        callback=callback,
        by_id=by.pk if by else None,
        action=action,
    )
    insert(line)
    if source == Source.STAFF:
        Transaction.objects.filter(pk=payment.pk, touched=False).update(touched=True)


def open_discrepancy(payment: Transaction, kind: Discrepancy.Kind, **evidence: Any) -> bool:
    """Open a discrepancy, once per evidence; return whether it is new."""
    fingerprint = hashlib.sha256(json.dumps(evidence, sort_keys=True, default=str).encode()).hexdigest()
    blocking = kind in Discrepancy.BLOCKING and payment.status != Status.COMPLETED
    _, is_new = Discrepancy.objects.get_or_create(
        transaction=payment,
        kind=kind,
        fingerprint=fingerprint,
        defaults={"evidence": json.loads(json.dumps(evidence, default=str)), "blocking": blocking},
    )
    if is_new:
        log.warning("discrepancy.opened", transaction_id=str(payment.pk), kind=str(kind), blocking=blocking)
    return is_new
