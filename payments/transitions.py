"""The one door through which the status of a payment changes; what changes beside it is in amendments.py.

    PENDING ──▶ COMPLETED ◀── FAILED        money wins, also when it comes late
       └──────────▶ FAILED                  a refusal, a listed code, or time

COMPLETED never changes back. Whoever comes second changes nothing: the guard is the WHERE of one UPDATE, so it
holds between threads, processes and machines. Locks are always taken order first, then payment.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.transaction import atomic, on_commit

from payments import clock, receipts, shop_letter
from payments.amendments import amend, read_with_order
from payments.history import open_discrepancy, record
from payments.models import (
    Action,
    Callback,
    Channel,
    Discrepancy,
    Reason,
    Source,
    Status,
    Transaction,
)
from payments.signals import announce_change
from prepared import Select, Update, given
from shop.models import Order
from shop.orders import mark_paid
from shop.outcomes import PaidOutcome

log = structlog.get_logger(__name__)

REACHED_FROM: dict[Status, tuple[Status, ...]] = {
    Status.COMPLETED: (Status.PENDING, Status.FAILED),
    Status.FAILED: (Status.PENDING,),
}
LATE_CHECK = timedelta(seconds=20)  # after a failure that money may still contradict


def transition(
    transaction_id: UUID,
    new_status: Status,
    *,
    source: Source,
    reason: Reason | None = None,
    note: str = "",
    callback: Callback | None = None,
    by: AbstractBaseUser | None = None,
    locked: Transaction | None = None,
    **fields: Any,
) -> bool:
    """Change the status of a payment if the table allows it from where it is now; return whether it did.

    1. One guarded UPDATE with version + 1; a payment under review is completed by staff alone.
    2. For a success the order and its receipt by e-mail, and the event row, in the same database transaction.
    3. After commit, `transaction_changed`, and a line in the log.

    `locked`: the payment, where the caller has locked its order and it in this database transaction.
    """
    with atomic(savepoint=False):
        if new_status == Status.COMPLETED:
            locked = locked or lock(transaction_id)
        if not _write_status(transaction_id, new_status, source, reason, fields):
            return False
        outcome = _settle_order(locked) if locked and new_status == Status.COMPLETED else None
        payment = read_with_order(transaction_id)
        old = Status.FAILED if payment.late else Status.PENDING
        action = Action.DECIDED if by else ""
        record(payment, source=source, old_status=old, note=note, callback=callback, by=by, action=action)
        if outcome:
            _keep_what_does_not_fit(payment, outcome)
            receipts.write_letter(payment)
        announce_change(payment)
        on_commit(lambda: _log_change(payment, source), robust=True)  # before it, nothing has changed yet
    return True


def _log_change(payment: Transaction, source: Source) -> None:
    log.info(
        "transaction.changed",
        transaction_id=str(payment.pk),
        order_id=str(payment.order_id),
        status=payment.status,
        reason=payment.reason or None,
        source=str(source),
        version=payment.version,
        late=payment.late,
        surplus=payment.surplus,
    )


def begin(payment: Transaction) -> None:
    """Write the first line of a new payment's history and announce it; called where its row is made."""
    record(payment, source=Source.PUSH, note="The payment was begun")
    announce_change(payment)


def lock(transaction_id: UUID, *, receipt: str = "") -> Transaction | None:
    """Lock the order, then the payment: the one order of locks, so that two attempts cannot wait for each other.

    No lock of ours is of the key. Whoever writes one payment twice has PostgreSQL look for its order at the commit
    and would wait there for who holds the order, who waits for the payment.

    With a `receipt` the payment says as `receipt_is_used` whether another one of its environment has that. Who waited
    for the lock has looked before: the unique constraint decides in the end.
    """
    if receipt:
        return _locked_with_receipt.first(id=transaction_id, mpesa_receipt_number=receipt)
    return _locked.first(id=transaction_id)


def _to_lock() -> QuerySet[Transaction]:
    # PostgreSQL locks a row in the tables' order after OF, and waits for the first before it takes the second.
    payment = Transaction.objects.select_for_update(of=("order", "self"), no_key=True).select_related("order")
    return payment.filter(pk=given(Transaction, "id")).order_by()


_same_receipt = Transaction.objects.filter(
    environment=OuterRef("environment"), mpesa_receipt_number=given(Transaction, "mpesa_receipt_number")
)
_locked = Select(_to_lock, by_key=True)
_locked_with_receipt = Select(
    lambda: _to_lock().annotate(receipt_is_used=Exists(_same_receipt.exclude(pk=OuterRef("pk")))), by_key=True
)


def _write_status(
    transaction_id: UUID, new_status: Status, source: Source, reason: Reason | None, fields: dict[str, Any]
) -> bool:
    now = clock.now()
    values: dict[str, Any] = {"id": transaction_id, "reason": reason or "", "settled_by": source, **fields}
    values["updated_at"] = now
    if new_status == Status.FAILED:
        values["failed_by"] = source
        values.setdefault("check_after", check_after_failure(reason, source, now))
    names = frozenset(values) - {"id"}
    return bool(_change_of_status(new_status, source == Source.STAFF, names).run(**values))


@lru_cache
def _change_of_status(new_status: Status, by_staff: bool, names: frozenset[str]) -> Update[Transaction]:
    """Return the guarded UPDATE; `names`: the fields whose values are given."""
    guard = Q(status__in=REACHED_FROM[new_status])
    changes: dict[str, Any] = {"status": new_status, "version": F("version") + 1}
    if new_status == Status.COMPLETED:
        if not by_staff:
            # The reason stays when a supervisor has decided that it is not paid: only another decision changes that.
            guard &= Q(under_review=False) & ~Q(reason=Reason.UNDER_REVIEW)
        was_failed = Case(When(status=Status.FAILED, then=Value(True)), default=Value(False))
        changes |= {"late": was_failed, "completed_at": _now(), "check_after": None, "under_review": False}
    else:
        changes["failed_at"] = _now()
    changes |= {name: given(Transaction, name) for name in names}
    return Update(lambda: Transaction.objects.filter(guard, pk=given(Transaction, "id")), lambda: changes)


def _now() -> Any:
    return given(Transaction, "updated_at")


def check_after_failure(reason: Reason | None, source: Source, now: datetime) -> datetime | None:
    """Return when to ask about a failed payment again: only where no code has proved that no money moved.

    What a query named once, until time ran out, is no proof.
    """
    if source == Source.EXPIRY or reason in {
        Reason.EXPIRED,
        Reason.NO_RESPONSE,
        Reason.UNKNOWN,
        Reason.PROMPT_EXPIRED,
        Reason.UNDER_REVIEW,
    }:
        return now + LATE_CHECK
    return None


def _settle_order(payment: Transaction) -> PaidOutcome:
    """Mark the order paid, once; the payment that finds it paid already is the one that is too much."""
    outcome = mark_paid(payment.order_id, payment.amount)
    if outcome == PaidOutcome.SURPLUS:
        Transaction.objects.filter(pk=payment.pk).update(surplus=True)
    return outcome


def _keep_what_does_not_fit(payment: Transaction, outcome: PaidOutcome) -> None:
    """Open a discrepancy for money that fits nowhere: it is never dropped."""
    if outcome == PaidOutcome.SURPLUS:
        open_discrepancy(payment, Discrepancy.Kind.SURPLUS, amount=payment.amount)
    elif outcome == PaidOutcome.AFTER_CANCEL:
        open_discrepancy(payment, Discrepancy.Kind.PAID_AFTER_CANCEL, amount=payment.amount)
    elif outcome == PaidOutcome.OVERPAID:
        _note_excess(payment)
    if outcome in {PaidOutcome.PAID, PaidOutcome.OVERPAID}:
        shop_letter.write(payment)
    if payment.late:
        open_discrepancy(payment, Discrepancy.Kind.LATE, amount=payment.amount)
    _tell_other_payments(payment)


def _note_excess(payment: Transaction) -> None:
    order = Order.objects.get(pk=payment.order_id)
    payment.excess = order.amount_paid - order.amount
    Transaction.objects.filter(pk=payment.pk).update(excess=payment.excess)
    open_discrepancy(payment, Discrepancy.Kind.OVERPAID, amount=payment.amount, too_much=payment.excess)


def _tell_other_payments(paid: Transaction) -> None:
    """Let the pages of the order's other payments, open prompts and failed ones too, say what has arrived."""
    if not paid.has_others:  # type: ignore[attr-defined]  # read_with_order annotates it
        return  # as nearly always
    others = Transaction.objects.filter(order=paid.order_id, environment=paid.environment).exclude(pk=paid.pk)
    source, how = Source.CALLBACK, "by another attempt"
    if paid.channel == Channel.C2B:
        source, how = Source.C2B, f"by hand, receipt {paid.mpesa_receipt_number}"
    note = f"KES {paid.amount:,} came {how}"
    for other_id, status in list(others.values_list("pk", "status")):
        if status != Status.PENDING or not amend(other_id, source=source, note=note, earlier_paid=True):
            amend(other_id, source=source, note=note)
