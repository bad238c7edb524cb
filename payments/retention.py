"""What is forgotten in time. Receipts, amounts and history stay.

How long the bodies of callbacks are kept, and whose phone it was, is for the shop to decide, by two commands. Baskets
and logins of long ago, of which there are ever more, every reconciler forgets.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import timedelta
from typing import Any

from axes.models import AccessLog
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from logs import redact
from payments.amendments import amend
from payments.c2b.counting import OPEN_STATES
from payments.models import Callback, Confirmation, ConversationResult, Discrepancy, Mail, Source, Status, Transaction
from payments.receipts import letter_key

BATCH = 500  # rows a statement: a callback that arrives meanwhile must not wait for all of them
LOGINS_KEPT_FOR = timedelta(days=90)  # who logged in from where, for whoever has to find out afterwards
FORGET_VISITS_EVERY = 3600.0  # seconds
NOBODY = "2540"  # no mobile number begins like this, so a stand-in can never ring at somebody's


def purge_callbacks(*, older_than: timedelta) -> int:
    """Empty the stored bodies that were settled so long ago; digest, ids and outcome stay. Return how many."""
    settled = Callback.objects.exclude(state=Callback.State.RECEIVED).exclude(body=b"")
    old = settled.filter(received_at__lt=timezone.now() - older_than)
    purged = 0
    while keys := list(old.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        purged += Callback.objects.filter(pk__in=keys).update(body=b"")
    return purged + _purge_results(older_than) + _purge_confirmations(older_than)


def _purge_results(older_than: timedelta) -> int:
    heard = ConversationResult.objects.exclude(state=ConversationResult.State.RECEIVED).exclude(body=b"")
    return heard.filter(received_at__lt=timezone.now() - older_than).update(body=b"")


def _purge_confirmations(older_than: timedelta) -> int:
    """Empty what was posted about payments by hand: it names the payer. Receipt, amount and account stay."""
    settled = Confirmation.objects.exclude(state__in=OPEN_STATES).exclude(body=b"")
    return settled.filter(received_at__lt=timezone.now() - older_than).update(body=b"")


def forget_visits() -> int:
    """Delete sessions that have run out, and with them their baskets, and logins of long ago; return how many rows."""
    now = timezone.now()
    sessions = Session.objects.filter(expire_date__lt=now).order_by("expire_date")
    logins = AccessLog.objects.filter(attempt_time__lt=now - LOGINS_KEPT_FOR)
    return _delete(sessions) + _delete(logins)


def _delete(old: QuerySet[Any]) -> int:
    deleted = 0
    while old.exists():  # asked first without a lock: on SQLite a look that locks would hold up every writer
        with atomic():
            # Every process does this, and none must wait for another's rows.
            free = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH])
            gone, _of_which = old.order_by().filter(pk__in=free).delete()
        if not gone:
            break
        deleted += gone
    return deleted


def anonymise_payments(*, older_than: timedelta) -> int:
    """Put a stand-in where the phone number was, for payments that nothing has happened to for so long.

    The key of the stand-ins is made for this call and forgotten with it, so nobody, not even the shop, can try out
    numbers until one fits; within one call the same phone stays the same. What is open or waits for a person keeps
    its number: the money may have to go back. Return how many payments were changed.
    """
    key = secrets.token_bytes(32)
    finished, changed = _finished(older_than), 0
    # Lists, not one long read: on SQLite a write after the read of a state that has passed is refused.
    while batch := list(finished[:BATCH]):
        for payment in batch:
            with atomic():
                changed += _anonymise(payment, key)
        finished = finished.filter(pk__gt=batch[-1].pk)
    return changed


def _finished(older_than: timedelta) -> QuerySet[Transaction]:
    heard_of = Callback.objects.filter(transaction_id=OuterRef("pk"), state=Callback.State.RECEIVED)
    unresolved = Discrepancy.objects.filter(transaction=OuterRef("pk"), resolved_at=None)
    old = Transaction.objects.filter(
        ~Exists(heard_of), ~Exists(unresolved), updated_at__lt=timezone.now() - older_than, under_review=False
    )
    kept = Q(status=Status.PENDING) | Q(phone_number__startswith=NOBODY)
    return old.exclude(kept).order_by("pk")


def _anonymise(payment: Transaction, key: bytes) -> bool:
    _forget_evidence(payment)
    digits = int(_keyed(key, payment.phone_number), 16) % 10**8
    # Daraja's id ends with the payer's number.
    checkout_request_id = payment.checkout_request_id and f"anonymous-{_keyed(key, payment.checkout_request_id)}"
    return amend(
        payment.pk,
        source=Source.STAFF,
        note="The phone number was anonymised",
        phone_number=f"{NOBODY}{digits:08d}",
        checkout_request_id=checkout_request_id,
        asked_from="",
        asked_in="",
    )


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _forget_evidence(payment: Transaction) -> None:
    """Take number and address out of what was kept; that it came, and what became of it, stays."""
    Mail.objects.filter(key=letter_key(payment)).delete()
    _callbacks_about(payment).update(body=b"", checkout_request_id="")
    payment.confirmations.update(body=b"", msisdn="")
    refunds = [str(pk) for pk in payment.refunds.values_list("pk", flat=True)]
    ConversationResult.objects.filter(conversation__subject__in=refunds).update(body=b"")
    for finding in payment.discrepancies.all():
        evidence = json.loads(redact(json.dumps(finding.evidence)))
        Discrepancy.objects.filter(pk=finding.pk).update(evidence=evidence)


def _callbacks_about(payment: Transaction) -> QuerySet[Callback]:
    about = Q(transaction_id=payment.pk)
    if payment.checkout_request_id:
        about |= Q(checkout_request_id=payment.checkout_request_id, environment=payment.environment)
    return Callback.objects.filter(about)
