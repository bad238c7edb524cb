"""The inbox: whatever Daraja posts is stored as bytes first and understood afterwards.

A callback that came with its payment's token is *trusted*; anything else is a hint, which can make us ask Daraja
and can never change a payment. A crash between storing and settling leaves the row `received`; `redrive` takes it up.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, NotSupportedError
from django.db.models import F, Q
from django.db.transaction import atomic
from django.utils import timezone

from environment import is_listed
from payments import spool
from payments.daraja.results import NotACallback, StkCallback, parse_callback
from payments.db import take_or_put_aside
from payments.models import Callback, Status, Transaction
from payments.settlement import ask_now, settle_callback, tells_of_new_status
from payments.spool import Arrived
from prepared import Select, Update, given, insert

log = structlog.get_logger(__name__)

LARGEST_CALLBACK = 64 * 1024  # bytes; a real one has about 600
LARGEST_HINT = 16 * 1024  # bytes
REJECTED_KEPT = 5  # bodies that are no callback, per payment
HINTS_PER_CHECKOUT = 3
HINTS_PER_ADDRESS = 60  # in a minute
HINTS_IN_ALL = 10_000
HINT_AGAIN = timedelta(seconds=60)  # a hint makes us ask at most once per payment and minute
REDRIVE_AFTER = timedelta(seconds=5)  # younger rows are still being settled by the request that stored them
MOST_ATTEMPTS = 14  # at doubling gaps, 6 hours in all; after that a person has to look: the row stays received
ATTEMPTS_BEFORE_EXPIRY = 3  # a callback that fails more often must not keep its payment open for ever


def receive(transaction_id: UUID, body: bytes, remote_address: str | None) -> bool:
    """Store a callback that came with the payment's token, then settle it; False when the body is no callback.

    Returns once the body is safely stored, whatever settling it brings: what fails there is driven again. Without
    a database the body goes to the spool; raises `spool.SpoolFull` or OSError when that cannot take it either.
    """
    return take_or_put_aside(
        lambda: _take(Arrived(transaction_id, body, remote_address, timezone.now())),
        lambda: _put_aside(transaction_id, body, remote_address),
    )


def _put_aside(transaction_id: UUID, body: bytes, remote_address: str | None) -> bool:
    spool.append(transaction_id, body, remote_address)
    return _is_callback(body)


def _is_callback(body: bytes) -> bool:
    try:
        parse_callback(body)
    except NotACallback:
        return False
    return True


def _take(arrived: Arrived) -> bool:
    senders = settings.MPESA_CALLBACK_IPS
    if senders and not is_listed(arrived.remote_address, senders):
        return _take_from_elsewhere(arrived)
    try:
        told = parse_callback(arrived.body)
    except NotACallback as error:
        return _reject(arrived, str(error))
    callback = _store(arrived, trusted=True, checkout_request_id=told.checkout_request_id)
    if callback.state == Callback.State.RECEIVED:
        process(callback, told)
    return True


def _store(
    arrived: Arrived,
    *,
    trusted: bool,
    checkout_request_id: str = "",
    state: str = Callback.State.RECEIVED,
    outcome: str = "",
) -> Callback:
    """Insert the body, or count one more copy of it; a forged copy never counts as one of the true callback."""
    digest = hashlib.sha256(arrived.body).hexdigest()
    scope = f"{settings.MPESA_ENVIRONMENT}|{arrived.transaction_id}|{trusted}|{digest}"
    key = hashlib.sha256(scope.encode()).hexdigest()
    callback = Callback(
        dedup_key=key,
        environment=settings.MPESA_ENVIRONMENT,
        transaction_id=arrived.transaction_id,
        trusted=trusted,
        body=arrived.body,
        digest=digest,
        checkout_request_id=checkout_request_id,
        remote_address=arrived.remote_address,
        state=state,
        outcome=outcome[:250],
        received_at=arrived.received_at,
    )
    if insert(callback, unless_there=True):
        return callback
    Callback.objects.filter(dedup_key=key).update(copies=F("copies") + 1)
    return Callback.objects.get(dedup_key=key)


def process(callback: Callback, told: StkCallback | None = None) -> bool:
    """Settle one stored callback; True when that is done, False when it has to be driven again."""
    transaction_id = callback.transaction_id
    if transaction_id is None:
        return False
    for _attempt in range(2):
        try:
            outcome = _settle(transaction_id, told or parse_callback(bytes(callback.body)), callback)
        except (IntegrityError, NotSupportedError):
            # Another payment took the same id or receipt meanwhile: read again, it is a discrepancy now. Or a migration
            # has changed what a prepared statement returns: the next one is prepared anew.
            continue
        except Exception:
            log.exception("callback.failed", transaction_id=str(transaction_id))
            break
        if not tells_of_new_status(outcome):  # the rule; of that the payment's own line tells
            log.info("callback.processed", transaction_id=str(transaction_id), outcome=outcome, copies=callback.copies)
        return True
    Callback.objects.filter(pk=callback.pk).update(attempts=F("attempts") + 1)
    return False


def _settle(transaction_id: UUID, told: StkCallback, callback: Callback) -> str:
    """Settle a callback and mark it processed in one commit: neither is ever there without the other."""
    with atomic():
        outcome = settle_callback(transaction_id, told, callback=callback)
        _mark_processed.run(id=callback.pk, outcome=outcome[:250], processed_at=timezone.now())
    return outcome


_mark_processed = Update(
    lambda: Callback.objects.filter(pk=given(Callback, "id")),
    lambda: {
        "state": Callback.State.PROCESSED,
        "outcome": given(Callback, "outcome"),
        "processed_at": given(Callback, "processed_at"),
    },
)


def redrive() -> int:
    """Settle what a crash or a fault left `received`, at doubling gaps; return how many could not be settled yet."""
    if _some_left.row(environment=settings.MPESA_ENVIRONMENT) is None:
        return 0  # as nearly always, twice a second; to word what is due costs ten times this question
    left = Callback.objects.filter(state=Callback.State.RECEIVED, environment=settings.MPESA_ENVIRONMENT)
    return sum(not process(callback) for callback in left.filter(is_due()).order_by("id")[:200])


_some_left = Select(
    lambda: (
        Callback.objects.filter(environment=given(Callback, "environment"), state=Callback.State.RECEIVED)
        .order_by()
        .values_list("pk")[:1]
    )
)


def is_due() -> Q:
    """Return which of the rows that are still `received` are to be tried again now."""
    now, due = timezone.now(), Q()
    for attempts in range(MOST_ATTEMPTS):
        due |= Q(attempts=attempts, received_at__lte=now - REDRIVE_AFTER * 2 ** max(0, attempts - 1))
    return due


spool.takers["callback"] = lambda arrived: _take(arrived)


def _reject(arrived: Arrived, why: str) -> bool:
    """Keep a few bodies that are no callback as evidence, and ask Daraja what they were meant to say."""
    rejected = Callback.objects.filter(transaction_id=arrived.transaction_id, state=Callback.State.REJECTED)
    if rejected.count() < REJECTED_KEPT:
        _store(arrived, trusted=True, state=Callback.State.REJECTED, outcome=why)
    ask_now(arrived.transaction_id)
    log.warning("callback.rejected", transaction_id=str(arrived.transaction_id), why=why)
    return False


def _take_from_elsewhere(arrived: Arrived) -> bool:
    """Store a callback whose sender is not in MPESA_CALLBACK_IPS, and only ask Daraja."""
    _store(arrived, trusted=False, state=Callback.State.HINT, outcome="the sender is not in MPESA_CALLBACK_IPS")
    ask_now(arrived.transaction_id)
    return True


def receive_hint(body: bytes, remote_address: str | None) -> None:
    """Keep a callback without a token, within limits, and have its payment asked about; never more than that."""
    if len(body) > LARGEST_HINT:
        return
    try:
        told = parse_callback(body)
    except NotACallback:
        return
    if not _room_for_hint(told.checkout_request_id, remote_address):
        return
    arrived = Arrived(None, body, remote_address, timezone.now())
    _store(arrived, trusted=False, checkout_request_id=told.checkout_request_id, state=Callback.State.HINT)
    _ask_for_hint(told.checkout_request_id)


def _room_for_hint(checkout_request_id: str, remote_address: str | None) -> bool:
    hints = Callback.objects.filter(state=Callback.State.HINT, transaction_id=None)
    minute = hints.filter(remote_address=remote_address, received_at__gt=timezone.now() - timedelta(minutes=1))
    return (
        hints.filter(checkout_request_id=checkout_request_id).count() < HINTS_PER_CHECKOUT
        and minute.count() < HINTS_PER_ADDRESS
        and hints.count() < HINTS_IN_ALL
    )


def _ask_for_hint(checkout_request_id: str) -> None:
    """Move the payment's next question to now, at most once a minute, unless it is due already."""
    now = timezone.now()
    payment = Transaction.objects.filter(
        environment=settings.MPESA_ENVIRONMENT, checkout_request_id=checkout_request_id
    ).exclude(status=Status.COMPLETED)
    payment.exclude(hinted_at__gt=now - HINT_AGAIN).exclude(check_after__lte=now).update(hinted_at=now, check_after=now)


def match_orphans(checkout_request_id: str) -> None:
    """Have Daraja asked at once about a payment whose id has just become known, if hints about it came before."""
    orphans = Callback.objects.filter(
        environment=settings.MPESA_ENVIRONMENT, checkout_request_id=checkout_request_id, state=Callback.State.HINT
    )
    if orphans.exists():
        _ask_for_hint(checkout_request_id)
