"""The one door through which a payment changes.

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
from django.utils import timezone

from payments import clock, receipts, shop_letter
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
from payments.signals import is_quiet, transaction_changed
from prepared import Select, Update, given
from shop.models import Order
from shop.orders import mark_paid
from shop.outcomes import PaidOutcome

log = structlog.get_logger(__name__)

REACHED_FROM: dict[Status, tuple[Status, ...]] = {
    Status.COMPLETED: (Status.PENDING, Status.FAILED),
    Status.FAILED: (Status.PENDING,),
}
# What may be learnt later without a change of status: the field, and while in which status.
AMENDED_IN: dict[str, tuple[Status, ...]] = {
    "mpesa_receipt_number": (Status.COMPLETED,),
    "earlier_paid": (Status.PENDING,),
    "under_review": (Status.PENDING, Status.FAILED),
    "found_by_hand": (Status.PENDING, Status.FAILED),
}
_UNSAID: dict[str, Any] = {
    "mpesa_receipt_number": "",
    "earlier_paid": False,
    "under_review": False,
    "found_by_hand": False,
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
    3. After commit, `transaction_changed`.

    `locked`: the payment, where the caller has locked its order and it in this database transaction.
    """
    with atomic(savepoint=False):
        if new_status == Status.COMPLETED:
            locked = locked or lock(transaction_id)
        if not _write_status(transaction_id, new_status, source, reason, fields):
            return False
        outcome = _settle_order(locked) if locked and new_status == Status.COMPLETED else None
        payment = _read(transaction_id)
        old = Status.FAILED if payment.late else Status.PENDING
        action = Action.DECIDED if by else ""
        record(payment, source=source, old_status=old, note=note, callback=callback, by=by, action=action)
        if outcome:
            _keep_what_does_not_fit(payment, outcome)
            receipts.write_letter(payment)
        _announce(payment)
    _log_change(payment, source)
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
    _announce(payment)


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


def _read(transaction_id: UUID) -> Transaction:
    """Return the payment with its order, and as `has_others` whether another payment was ever begun for that."""
    payment = _with_order.first(id=transaction_id)
    if payment is None:
        raise Transaction.DoesNotExist
    return payment


_with_order = Select(
    lambda: (
        Transaction.objects.select_related("order")
        .annotate(has_others=Exists(Transaction.objects.filter(order=OuterRef("order")).exclude(pk=OuterRef("pk"))))
        .filter(pk=given(Transaction, "id"))
        .order_by()
    ),
    by_key=True,
)


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
    if not paid.has_others:  # type: ignore[attr-defined]  # _read annotates it
        return  # as nearly always
    others = Transaction.objects.filter(order=paid.order_id, environment=paid.environment).exclude(pk=paid.pk)
    source, how = Source.CALLBACK, "by another attempt"
    if paid.channel == Channel.C2B:
        source, how = Source.C2B, f"by hand, receipt {paid.mpesa_receipt_number}"
    note = f"KES {paid.amount:,} came {how}"
    for other_id, status in list(others.values_list("pk", "status")):
        if status != Status.PENDING or not amend(other_id, source=source, note=note, earlier_paid=True):
            amend(other_id, source=source, note=note)


def announce_found_by_hand(order_id: UUID, *, found: bool, note: str) -> None:
    """Let the order's unpaid pages say that a payment by hand is found and M-PESA is being asked, or no longer."""
    unpaid = Transaction.objects.filter(order=order_id, status__in=AMENDED_IN["found_by_hand"], found_by_hand=not found)
    for payment_id in list(unpaid.values_list("pk", flat=True)):
        if found:
            amend(payment_id, source=Source.C2B, note=note, found_by_hand=True)
        else:
            _forget_found(payment_id, note)


def announce_pause(order_id: UUID, *, note: str) -> None:
    """Let the pages that say "found" say when M-PESA is asked again."""
    waiting = Transaction.objects.filter(order=order_id, status__in=AMENDED_IN["found_by_hand"], found_by_hand=True)
    for payment_id in list(waiting.values_list("pk", flat=True)):
        amend(payment_id, source=Source.C2B, note=note)


def _forget_found(payment_id: UUID, note: str) -> None:
    with atomic():
        mine = Transaction.objects.filter(pk=payment_id, found_by_hand=True)
        if mine.update(found_by_hand=False, version=F("version") + 1, updated_at=timezone.now()):
            payment = _read(payment_id)
            record(payment, source=Source.C2B, note=note)
            _announce(payment)


def amend(
    transaction_id: UUID, *, source: Source, note: str = "", callback: Callback | None = None, **fields: Any
) -> bool:
    """Add what was learnt later (a receipt, a review) without a change of status; version + 1.

    A field that already says something is left as it is: whoever comes second changes nothing.
    """
    guard = Q(pk=transaction_id)
    for name in fields.keys() & AMENDED_IN.keys():
        guard &= Q(status__in=AMENDED_IN[name]) & (Q(**{f"{name}__isnull": True}) | Q(**{name: _UNSAID[name]}))
    with atomic(savepoint=False):
        changed = Transaction.objects.filter(guard).update(
            version=F("version") + 1, updated_at=timezone.now(), **fields
        )
        if changed:
            payment = _read(transaction_id)
            record(payment, source=source, note=note, callback=callback)
            _announce(payment)
    return bool(changed)


def add_refund(transaction_id: UUID, *, amount: int, note: str) -> bool:
    """Add `amount` KES that went back to the customer; version + 1. False when that is more than was paid in all."""
    paid = Transaction.objects.filter(
        pk=transaction_id, status=Status.COMPLETED, refunded_amount__lte=F("amount") - amount
    )
    with atomic():
        changed = paid.update(
            refunded_amount=F("refunded_amount") + amount, version=F("version") + 1, updated_at=timezone.now()
        )
        if changed:
            payment = Transaction.objects.get(pk=transaction_id)
            record(payment, source=Source.REFUND, note=note)
            _announce(payment)
    return bool(changed)


def put_under_review(transaction_id: UUID, *, source: Source, note: str = "", callback: Callback | None = None) -> bool:
    """Keep everybody but a supervisor from completing the payment; its open pages are told."""
    failed = When(status=Status.FAILED, then=Value(Reason.UNDER_REVIEW))
    reason = Case(failed, default=F("reason"))
    return amend(transaction_id, source=source, note=note, callback=callback, under_review=True, reason=reason)


def end_review(transaction_id: UUID, *, note: str, by: AbstractBaseUser | None = None) -> bool:
    """Leave a FAILED payment unpaid because a supervisor says so: its order may be paid anew; version + 1."""
    reviewed = Transaction.objects.filter(pk=transaction_id, under_review=True, status=Status.FAILED)
    with atomic():
        changed = reviewed.update(under_review=False, version=F("version") + 1, updated_at=timezone.now())
        if changed:
            payment = _read(transaction_id)
            record(payment, source=Source.STAFF, note=note, by=by, action=Action.DECIDED)
            _announce(payment)
    return bool(changed)


def note_action(
    payment: Transaction, action: Action, *, by: AbstractBaseUser, note: str = "", source: Source = Source.STAFF
) -> None:
    """Write down what a person did about a payment, or what came of it; whoever watches is told, the version stays."""
    with atomic():
        record(payment, source=source, action=action, by=by, note=note)
        _announce(payment)


def _announce(payment: Transaction) -> None:
    transaction_id, version = payment.pk, payment.version

    def send() -> None:
        # send_robust: a listener that fails must never hurt a payment that is already committed.
        transaction_changed.send_robust(Transaction, transaction_id=transaction_id, version=version, payment=payment)

    if not is_quiet():
        on_commit(send)
