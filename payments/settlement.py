"""What a callback or a query means for the money: a Daraja result → a transition, evidence, or a discrepancy."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.transaction import atomic

from payments import clock
from payments.amendments import amend, put_under_review
from payments.daraja.client import QueryAnswer
from payments.daraja.codes import reason_for
from payments.daraja.results import StkCallback
from payments.history import open_discrepancy, record
from payments.models import Callback, Discrepancy, Reason, Source, Status, Transaction
from payments.transitions import lock, transition

Kind = Discrepancy.Kind
SAME_ANSWER_AFTER = timedelta(seconds=10)  # a query fails a payment only with the same code twice, this far apart
STILL_PROCESSING = {"", "4999", "500.001.1001"}  # "being processed": neither a result nor unknown

# What became of a callback that changed the status, as staff read it.
_COMPLETED, _FAILED = "completed", "failed: "


def tells_of_new_status(outcome: str) -> bool:
    """Return whether that is what became of a callback."""
    return outcome.startswith((_COMPLETED, _FAILED))


def settle_callback(transaction_id: UUID, told: StkCallback, *, callback: Callback) -> str:
    """Apply a callback that came with the payment's token; return what became of it, in words for staff.

    COMPLETED needs matching ids, the exact amount in KES and a receipt that no other payment holds. What does not
    match opens a discrepancy and blocks the payment: it is never dropped and never believed.
    """
    with atomic(savepoint=False):
        payment = _lock(transaction_id, receipt=told.mpesa_receipt_number)
        if payment is None:
            return "no such payment in this environment"
        conflict = _conflicting_ids(payment, told)
        if conflict:
            return _block(payment, Kind.IDS_DIFFER, callback, **conflict)
        _adopt_ids(payment, told)
        if told.is_success:
            return _settle_success(payment, told, callback)
        return _settle_failure(payment, told, callback)


def _lock(transaction_id: UUID, *, receipt: str | None = None) -> Transaction | None:
    payment = lock(transaction_id, receipt=receipt or "")
    return payment if payment and payment.environment == settings.MPESA_ENVIRONMENT else None


def _conflicting_ids(payment: Transaction, told: StkCallback) -> dict[str, Any]:
    """Return the ids that are not this payment's; without stored ids the token alone identifies it."""
    if payment.checkout_request_id is None:
        others = Transaction.objects.filter(
            environment=payment.environment, checkout_request_id=told.checkout_request_id
        ).exclude(pk=payment.pk)
        return {"checkout_request_id": told.checkout_request_id, "held_by": "another payment"} if others else {}
    if payment.checkout_request_id != told.checkout_request_id:
        return {"checkout_request_id": told.checkout_request_id}
    known, new = payment.merchant_request_id, told.merchant_request_id
    return {"merchant_request_id": new} if known and new and known != new else {}


def _adopt_ids(payment: Transaction, told: StkCallback) -> None:
    """Keep the callback's ids where the answer to the push was lost, or has not been saved yet."""
    if payment.checkout_request_id is None:
        payment.checkout_request_id = told.checkout_request_id
        payment.merchant_request_id = told.merchant_request_id or None
        Transaction.objects.filter(pk=payment.pk, checkout_request_id=None).update(
            checkout_request_id=payment.checkout_request_id, merchant_request_id=payment.merchant_request_id
        )


def _settle_success(payment: Transaction, told: StkCallback, callback: Callback) -> str:
    if told.amount is None:
        ask_now(payment.pk)
        return "success without an amount: Daraja is asked"
    if told.amount != payment.amount:
        return _block(payment, Kind.AMOUNT_DIFFERS, callback, asked=payment.amount, told=str(told.amount))
    receipt = told.mpesa_receipt_number
    if receipt and payment.receipt_is_used:  # type: ignore[attr-defined]  # lock annotates it
        return _block(payment, Kind.RECEIPT_REUSED, callback, mpesa_receipt_number=receipt)
    if payment.status == Status.COMPLETED:
        return _repeat_success(payment, receipt, callback)
    result: dict[str, Any] = {
        "result_code": told.result_code,
        "result_desc": told.result_desc,
        "mpesa_receipt_number": receipt,
    }
    if transition(payment.pk, Status.COMPLETED, source=Source.CALLBACK, callback=callback, locked=payment, **result):
        return _COMPLETED
    return _blocked_success(payment, Source.CALLBACK, told.result_code, callback, mpesa_receipt_number=receipt)


def _blocked_success(
    payment: Transaction, source: Source, code: str, callback: Callback | None = None, **evidence: Any
) -> str:
    """Keep a success that must not complete its payment; one that speaks against a decision is seen by staff again."""
    _note(payment, source, "Success while under review", code, callback)
    if not payment.under_review:
        open_discrepancy(payment, Kind.CONTRADICTION, source=source.value, **evidence)
    return "under review: a supervisor decides"


def _repeat_success(payment: Transaction, receipt: str | None, callback: Callback) -> str:
    if not receipt or payment.mpesa_receipt_number == receipt:
        return "duplicate"
    if payment.mpesa_receipt_number is None:
        amend(
            payment.pk,
            source=Source.CALLBACK,
            note="The receipt arrived",
            callback=callback,
            mpesa_receipt_number=receipt,
        )
        return "receipt filled in"
    return _block(
        payment, Kind.CONTRADICTION, callback, receipt_held=payment.mpesa_receipt_number, receipt_told=receipt
    )


def _settle_failure(payment: Transaction, told: StkCallback, callback: Callback) -> str:
    reason = reason_for(told.result_code, told.result_desc)
    if payment.status == Status.COMPLETED:
        open_discrepancy(payment, Kind.CONTRADICTION, told=told.result_code, source=Source.CALLBACK.value)
        _note(payment, Source.CALLBACK, "Failure after success: nothing changes", told.result_code, callback)
        return "contradicts the success"
    if reason is None:
        return _unlisted(payment, Source.CALLBACK, told.result_code, told.result_desc, callback)
    result: dict[str, Any] = {"result_code": told.result_code, "result_desc": told.result_desc}
    if not payment.under_review and transition(
        payment.pk, Status.FAILED, source=Source.CALLBACK, reason=reason, callback=callback, locked=payment, **result
    ):
        return f"{_FAILED}{reason}"
    _note(payment, Source.CALLBACK, f"Failure again: {reason}", told.result_code, callback)
    return "evidence only"


def _unlisted(payment: Transaction, source: Source, code: str, desc: str, callback: Callback | None = None) -> str:
    """Keep an answer that nobody has explained yet: the payment waits, staff see it, Daraja is asked."""
    if open_discrepancy(payment, Kind.UNKNOWN_CODE, result_code=code, result_desc=desc):
        _note(payment, source, "Unlisted code", code, callback)
        Transaction.objects.filter(pk=payment.pk, status=Status.PENDING).update(result_code=code, result_desc=desc)
    if source == Source.CALLBACK:
        ask_now(payment.pk)
    return f"unlisted code {code}: waiting"


def _block(payment: Transaction, kind: Discrepancy.Kind, callback: Callback, **evidence: Any) -> str:
    if open_discrepancy(payment, kind, **evidence) and payment.status != Status.COMPLETED:
        put_under_review(payment.pk, source=Source.CALLBACK, note=str(kind.label), callback=callback)
    return f"discrepancy: {kind}"


def _note(payment: Transaction, source: Source, note: str, code: str, callback: Callback | None = None) -> None:
    record(payment, source=source, note=note, result_code=code, callback=callback)


def settle_query(transaction_id: UUID, answer: QueryAnswer) -> str:
    """Apply Daraja's own answer about a payment; return what became of it.

    A success completes (it brings no receipt: a later callback fills that in). A failure must be said twice, ten
    seconds apart, for queries have been seen to call paid payments failed. Anything else waits.
    """
    with atomic(savepoint=False):
        payment = _lock(transaction_id)
        if payment is None or payment.status == Status.COMPLETED:
            return _query_after_success(payment, answer)
        if answer.outcome == "success":
            result: dict[str, Any] = {"result_code": answer.result_code, "result_desc": answer.result_desc}
            if transition(payment.pk, Status.COMPLETED, source=Source.QUERY, locked=payment, **result):
                return "completed"
            return _blocked_success(payment, Source.QUERY, answer.result_code)
        if answer.outcome == "failure" and answer.reason:
            return _failure_told(payment, answer, answer.reason)
        if answer.result_code not in STILL_PROCESSING and "." not in answer.result_code:
            return _unlisted(payment, Source.QUERY, answer.result_code, answer.result_desc)
        return "waiting"


def _query_after_success(payment: Transaction | None, answer: QueryAnswer) -> str:
    if payment is not None and answer.outcome == "failure":
        open_discrepancy(payment, Kind.CONTRADICTION, told=answer.result_code, source=Source.QUERY.value)
    return "nothing to change"


def _failure_told(payment: Transaction, answer: QueryAnswer, reason: Reason) -> str:
    now = clock.now()
    if payment.status != Status.PENDING or payment.under_review:
        return "nothing to change"
    first_told = payment.queried_at if payment.queried_code == answer.result_code else None
    if first_told is None:
        _remember_first_answer(payment, answer, now)
        return "named once"
    if now - first_told < SAME_ANSWER_AFTER:
        return "named again too soon"
    result: dict[str, Any] = {"result_code": answer.result_code, "result_desc": answer.result_desc}
    transition(payment.pk, Status.FAILED, source=Source.QUERY, reason=reason, locked=payment, **result)
    return f"failed: {reason}"


def _remember_first_answer(payment: Transaction, answer: QueryAnswer, now: datetime) -> None:
    Transaction.objects.filter(pk=payment.pk).update(queried_code=answer.result_code, queried_at=now)
    _note(payment, Source.QUERY, f"First answer: {answer.result_desc}", answer.result_code)


def ask_now(transaction_id: UUID | None) -> None:
    """Have the reconciler ask Daraja about this payment in its next pass, if money may still arrive for it."""
    not_paid = Transaction.objects.exclude(status=Status.COMPLETED)
    not_paid.filter(id__in=[transaction_id]).update(check_after=clock.now())


def expire(payment: Transaction) -> bool:
    """Give up waiting: FAILED as `under_review`, as the code that a query named once, `unknown`, or `expired`."""
    return transition(payment.pk, Status.FAILED, source=Source.EXPIRY, reason=_reason_at_expiry(payment))


def _reason_at_expiry(payment: Transaction) -> Reason:
    if payment.under_review:
        return Reason.UNDER_REVIEW
    named = reason_for(payment.queried_code) if payment.queried_code else None
    if named:
        return named
    return Reason.UNKNOWN if payment.result_code else Reason.EXPIRED
