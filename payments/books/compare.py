"""Ours against theirs, in both directions, for the time that a reading covers; what differs becomes a finding, once.

Receipts join the two. Where a receipt is unknown to us, the account reference does: it is unguessable and used for one
prompt only. The work is the database's: rows come here only where something differs, so a week fits into little memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import structlog
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from payments.models import MADE_UP, Channel, Finding, Movement, Reading, Refund, Status, Transaction

log = structlog.get_logger(__name__)

Kind = Finding.Kind
MARGIN = timedelta(minutes=5)  # between M-PESA's clock and ours, and for a confirmation on its way
TOUCHING = timedelta(seconds=61)  # readings this close leave no gap: statements end at :59
BATCH = 500  # rows a statement


class Period(NamedTuple):
    start: datetime
    end: datetime


def compare(reading: Reading) -> int:
    """Compare the time that a finished reading covers; return how many findings are new.

    Again, over the same records, it changes nothing. What has turned up since is closed as matched.
    """
    period = _covered(reading)
    if period is None:
        return 0
    findings = [_amounts, _unknown_to_us, _missing_there, _receipts_twice, _reversals]
    if reading.source == Reading.Source.STATEMENT:
        findings.append(_refunds_missing)  # a pulled list holds only what came in
    new = sum(_open(reading, find(reading, period)) for find in findings)
    matched = _close_matched(reading.environment)
    log.info("books.compared", reading=reading.pk, source=reading.source, new=new, matched=matched)
    return new


def _covered(reading: Reading) -> Period | None:
    """Return the whole time around a reading that readings of its kind cover without a gap."""
    if reading.state != Reading.State.DONE or reading.covers_from is None or reading.covers_until is None:
        return None
    start, end = reading.covers_from, reading.covers_until
    others = Reading.objects.filter(
        environment=reading.environment, source=reading.source, state=Reading.State.DONE, covers_until__isnull=False
    )
    spans = [(other.covers_from or start, other.covers_until or end) for other in others.order_by("covers_from")]
    for first, last in spans:
        if first <= end + TOUCHING and last > end:
            end = last
    for first, last in reversed(spans):
        if last >= start - TOUCHING and first < start:
            start = first
    return Period(start, end)


# Our side and theirs --------------------------------------------------------------------------------------------


def _payments(reading: Reading, period: Period | None = None) -> QuerySet[Movement]:
    found = Movement.objects.filter(environment=reading.environment, kind=Movement.Kind.PAYMENT)
    return found.filter(completed_at__range=period) if period else found


def _ours(reading: Reading) -> QuerySet[Transaction]:
    return without_made_up(Transaction.objects.filter(environment=reading.environment)).order_by()


def without_made_up(payments: QuerySet[Transaction]) -> QuerySet[Transaction]:
    """Leave out the demo's history: nobody paid it, so not even the simulator's own statement can show it."""
    return payments.exclude(environment="simulator", account_reference__startswith=MADE_UP)


def _in_batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        yield batch


# What differs ---------------------------------------------------------------------------------------------------


def _amounts(reading: Reading, period: Period) -> Iterator[Finding]:
    same = _ours(reading).filter(mpesa_receipt_number=OuterRef("receipt"), status=Status.COMPLETED)
    joined = _payments(reading, period).annotate(
        ours=Subquery(same.values("amount")[:1]), ours_id=Subquery(same.values("pk")[:1])
    )
    for row in joined.filter(ours__isnull=False).exclude(cents_in=F("ours") * 100).iterator(BATCH):
        yield _finding(reading, Kind.AMOUNT, row, transaction_id=row.ours_id, ours=row.ours)


def _unknown_to_us(reading: Reading, period: Period) -> Iterator[Finding]:
    """Yield payments of theirs whose receipt no completed payment of ours has: missing, misread, or paid twice."""
    same = _ours(reading).filter(mpesa_receipt_number=OuterRef("receipt"), status=Status.COMPLETED)
    unknown = _payments(reading, period).filter(~Exists(same))
    for batch in _in_batches(unknown.iterator(BATCH)):
        prompts = _prompts(reading, batch)
        receipts = [prompt.mpesa_receipt_number for prompt in prompts.values() if prompt.mpesa_receipt_number]
        there = set(_payments(reading).filter(receipt__in=receipts).values_list("receipt", flat=True))
        for row in batch:
            yield _explain(reading, row, prompts.get(row.account_reference), there)


def _prompts(reading: Reading, rows: list[Movement]) -> dict[str, Transaction]:
    """Return our prompts by the account reference that the lines carry."""
    references = {row.account_reference for row in rows if row.account_reference}
    prompted = _ours(reading).filter(channel=Channel.STK, account_reference__in=references)
    return {prompt.account_reference: prompt for prompt in prompted}


def _explain(reading: Reading, row: Movement, prompt: Transaction | None, there: set[str]) -> Finding:
    if prompt is None or prompt.status != Status.COMPLETED:
        return _finding(reading, Kind.MISSING_OURS, row, transaction_id=prompt.pk if prompt else None)
    kind = Kind.TWICE if prompt.mpesa_receipt_number in there else Kind.RECEIPT
    held = prompt.mpesa_receipt_number or "none"
    return _finding(reading, kind, row, transaction_id=prompt.pk, ours=prompt.amount, note=f"ours has {held}")


def _missing_there(reading: Reading, period: Period) -> Iterator[Finding]:
    """Yield completed payments of ours whose money must have moved within the period, and of which nothing is there."""
    by_receipt = _payments(reading).filter(receipt=OuterRef("mpesa_receipt_number"))
    by_reference = _payments(reading).filter(account_reference=OuterRef("account_reference"))
    missing = _ours(reading).filter(
        ~Exists(by_receipt),
        Q(channel=Channel.C2B) | ~Exists(by_reference),  # a prompt's own line with another receipt is told above
        status=Status.COMPLETED,
        created_at__gte=period.start + MARGIN,
        completed_at__lte=period.end - MARGIN,
    )
    for payment in missing.iterator(BATCH):
        yield Finding(
            kind=Kind.MISSING_THEIRS,
            receipt=payment.mpesa_receipt_number or "",
            transaction=payment,
            ours=payment.amount,
            happened_at=payment.completed_at or payment.created_at,
        )


def _receipts_twice(reading: Reading, period: Period) -> Iterator[Finding]:
    """Yield receipts that stand in their record with two amounts."""
    twice = _payments(reading, period).order_by().values("receipt").annotate(rows=Count("id")).filter(rows__gt=1)
    for receipt in twice.values_list("receipt", flat=True):
        rows = list(_payments(reading).filter(receipt=receipt).order_by("id"))
        yield _finding(reading, Kind.TWICE, rows[-1], note="one receipt, two amounts")


def _reversals(reading: Reading, period: Period) -> Iterator[Finding]:
    """Yield reversals at M-PESA that no refund of ours accounts for."""
    back = Movement.objects.filter(
        environment=reading.environment, kind=Movement.Kind.REVERSAL, completed_at__range=period
    )
    known = Refund.objects.filter(
        Q(method=Refund.Method.REVERSAL) | Q(receipt=OuterRef("receipt")),  # cash accounts for no reversal
        transaction__mpesa_receipt_number=OuterRef("linked_receipt"),
        environment=reading.environment,
        state=Refund.State.DONE,
    )
    here = _ours(reading).filter(mpesa_receipt_number=OuterRef("linked_receipt"))
    joined = back.annotate(ours_id=Subquery(here.values("pk")[:1]), ours=Subquery(known.values("amount")[:1]))
    for row in joined.exclude(ours__isnull=False, cents_out=F("ours") * 100).iterator(BATCH):
        yield _finding(reading, Kind.REVERSED, row, transaction_id=row.ours_id, ours=row.ours)


def _refunds_missing(reading: Reading, period: Period) -> Iterator[Finding]:
    """Yield reversals that we take for done and that the statement does not show."""
    there = Movement.objects.filter(
        environment=reading.environment,
        kind=Movement.Kind.REVERSAL,
        linked_receipt=OuterRef("transaction__mpesa_receipt_number"),
    )
    done = Refund.objects.filter(
        ~Exists(there),
        environment=reading.environment,
        method=Refund.Method.REVERSAL,
        state=Refund.State.DONE,
        sent_at__gte=period.start + MARGIN,
        ended_at__lte=period.end - MARGIN,
    )
    for refund in done.select_related("transaction").iterator(BATCH):
        yield Finding(
            kind=Kind.REFUND_MISSING,
            receipt=refund.receipt,
            transaction=refund.transaction,
            ours=refund.amount,
            happened_at=refund.ended_at or refund.requested_at,
        )


# Keeping what was found -----------------------------------------------------------------------------------------


def _finding(reading: Reading, kind: Finding.Kind, row: Movement, **facts: Any) -> Finding:
    cents = row.cents_in or row.cents_out
    return Finding(kind=kind, receipt=row.receipt, theirs_cents=cents, happened_at=row.completed_at, **facts)


def _open(reading: Reading, found: Iterator[Finding]) -> int:
    """Write findings that are new; the same difference is one finding, however often it is seen."""
    new = 0
    # Lists, not one long read: on SQLite a write after the read of a state that has passed is refused.
    for batch in _in_batches(list(found)):
        for finding in batch:
            finding.environment, finding.reading = reading.environment, reading
            facts = (reading.environment, finding.kind, finding.receipt, finding.transaction_id, finding.theirs_cents)
            finding.fingerprint = hashlib.sha256("|".join(map(str, facts)).encode()).hexdigest()
        fingerprints = [finding.fingerprint for finding in batch]
        known = set(Finding.objects.filter(fingerprint__in=fingerprints).values_list("fingerprint", flat=True))
        fresh = {finding.fingerprint: finding for finding in batch if finding.fingerprint not in known}
        Finding.objects.bulk_create(fresh.values(), ignore_conflicts=True)
        new += len(fresh)
    return new


def _close_matched(environment: str) -> int:
    """Close what has turned up since: a line that came with a later reading, a payment whose callback was late."""
    still_open = Finding.objects.filter(environment=environment, resolved_at=None)
    there = Movement.objects.filter(environment=environment, kind=Movement.Kind.PAYMENT, receipt=OuterRef("receipt"))
    here = Transaction.objects.filter(
        environment=environment, status=Status.COMPLETED, mpesa_receipt_number=OuterRef("receipt")
    )
    matched = still_open.filter(Q(kind=Kind.MISSING_THEIRS) & ~Q(receipt="") & Exists(there)) | still_open.filter(
        Q(kind=Kind.MISSING_OURS) & Exists(here)
    )
    keys = list(matched.values_list("pk", flat=True))
    closed = {"resolved_at": timezone.now(), "resolution": "Both records have it now"}
    return sum(Finding.objects.filter(pk__in=batch).update(**closed) for batch in _in_batches(keys))
