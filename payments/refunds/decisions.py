"""What people decide: that money goes back, that it may, that it did. Every decision is in the admin's log."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet, Sum
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.translation import gettext as _

from payments.audit import log_action
from payments.daraja import credential
from payments.models import Discrepancy, Refund, Status, Transaction
from payments.refunds.states import PREPARED_FOR, State, change, lock_payment
from shop.models import CURRENCY

Method = Refund.Method
PERMISSION = "payments.refund_transaction"


class RefundRefused(Exception):
    """Nothing was written and no money moves; the text tells staff why."""


def refundable(payment: Transaction) -> int:
    """Return the KES of a payment that can still go back: what was paid, less what went back or may have."""
    if payment.status != Status.COMPLETED:
        return 0
    return max(0, payment.amount - _promised(payment))


def _promised(payment: Transaction) -> int:
    """Return the KES of a payment that went back, are on the way, or may be."""
    asked_for = payment.refunds.exclude(state=State.FAILED).aggregate(amount=Sum("amount"))["amount"] or 0
    return max(asked_for, payment.refunded_amount)


def prepared() -> QuerySet[Discrepancy]:
    """Return the discrepancies for which money should go back, and for which nobody has begun to send any."""
    found = Discrepancy.objects.filter(
        kind__in=PREPARED_FOR, resolved_at=None, transaction__environment=settings.MPESA_ENVIRONMENT
    )
    begun = Refund.objects.exclude(state=State.FAILED).values("transaction")
    return found.exclude(transaction__in=begun).select_related("transaction__order").order_by("opened_at")


def waiting_for_person() -> QuerySet[Refund]:
    """Return the refunds that go on only when somebody decides: to be approved, to be sent, or unknown for good."""
    mine = Refund.objects.filter(environment=settings.MPESA_ENVIRONMENT).select_related("transaction__order")
    unsent, lost = Q(state=State.REQUESTED, sent_at=None), Q(state=State.UNKNOWN, ask_after=None)
    return mine.filter(unsent | lost).order_by("requested_at")


def request_reversal(
    transaction_id: UUID, *, amount: int, reason: str, by: AbstractBaseUser, key: UUID | None = None
) -> Refund:
    """Write down that M-PESA shall send `amount` KES back; `send` does it, above the limit only once approved.

    `key`: the id that a form gave it, so that the form sent twice is one refund. Raises RefundRefused.
    """
    if not credential.is_set_up():
        raise RefundRefused(_("M-PESA's API operator is not set up, so only refunds by hand can be noted."))
    with atomic():
        if same := _written_before(transaction_id, key):
            return same
        payment = _refundable_payment(transaction_id, amount, reason, by)
        if not payment.mpesa_receipt_number:
            raise RefundRefused(_("The M-PESA receipt of this payment is not known yet."))
        if payment.refunds.filter(method=Method.REVERSAL).exclude(state=State.FAILED).exists():
            raise RefundRefused(_("M-PESA reverses a payment once; give the rest back by hand."))
        return _write(payment, Method.REVERSAL, amount, reason, by, key=key)


def record_by_hand(
    transaction_id: UUID,
    *,
    amount: int,
    reason: str,
    by: AbstractBaseUser,
    reference: str = "",
    key: UUID | None = None,
) -> Refund:
    """Note that `amount` KES was given back by hand (cash, or M-PESA's portal with its receipt as `reference`).

    Above REFUND_SECOND_PERSON_ABOVE it counts once a second person has approved it. `key`: as for a reversal. Raises
    RefundRefused.
    """
    with atomic():
        if same := _written_before(transaction_id, key):
            return same
        payment = _refundable_payment(transaction_id, amount, reason, by)
        refund = _write(payment, Method.BY_HAND, amount, reason, by, receipt=reference.strip()[:40], key=key)
        if not refund.needs_second_person:
            change(refund, State.DONE, outcome=f"{by}: {reason}")
        return refund


def _written_before(transaction_id: UUID, key: UUID | None) -> Refund | None:
    """Return the refund that the same form wrote; the order's lock keeps two copies of it from writing at once."""
    if key is None or not Transaction.objects.filter(pk=transaction_id).exists():
        return None
    lock_payment(transaction_id)
    return Refund.objects.filter(pk=key, transaction=transaction_id).first()


def _refundable_payment(transaction_id: UUID, amount: int, reason: str, by: AbstractBaseUser) -> Transaction:
    _check_permission(by)
    try:
        payment = lock_payment(transaction_id)
    except Transaction.DoesNotExist:
        raise RefundRefused(_("There is no such payment.")) from None
    if payment.environment != settings.MPESA_ENVIRONMENT:
        raise RefundRefused(_("This payment belongs to another environment of M-PESA."))
    if payment.status != Status.COMPLETED:
        raise RefundRefused(_("Only a completed payment can be given back."))
    most = refundable(payment)
    if not 1 <= amount <= most:
        raise RefundRefused(
            _("Of this payment, at most %(most)s can still go back.") % {"most": f"{CURRENCY} {most:,}"}
        )
    if not reason.strip():
        raise RefundRefused(_("Say why: it is kept with the payment."))
    return payment


def _check_permission(by: AbstractBaseUser) -> None:
    if not by.has_perm(PERMISSION):  # type: ignore[attr-defined]
        raise RefundRefused(_("Only a supervisor may send money back."))


def _write(
    payment: Transaction,
    method: Refund.Method,
    amount: int,
    reason: str,
    by: AbstractBaseUser,
    *,
    key: UUID | None,
    receipt: str = "",
) -> Refund:
    refund = Refund.objects.create(
        **({"pk": key} if key else {}),
        transaction=payment,
        environment=payment.environment,
        method=method,
        amount=amount,
        reason=reason.strip()[:200],
        receipt=receipt,
        requested_by_id=by.pk,
        # All of the payment counts: in small parts, too, much money needs two people.
        needs_second_person=_promised(payment) + amount > settings.REFUND_SECOND_PERSON_ABOVE,
    )
    log_action(by, refund, f"{method.label}, {CURRENCY} {amount:,}: {reason}")
    return refund


def approve(refund_id: UUID, *, by: AbstractBaseUser) -> Refund:
    """Let a refund above the limit go on; by another person than the one who asked for it. Raises RefundRefused."""
    _check_permission(by)
    with atomic():
        refund = _waiting(refund_id)
        if refund.requested_by_id == by.pk:
            raise RefundRefused(_("A second person has to approve this: somebody other than the one who asked."))
        waiting = Refund.objects.filter(pk=refund.pk, state=State.REQUESTED, approved_by=None)
        if not waiting.update(approved_by=by.pk, approved_at=timezone.now()):
            raise RefundRefused(_("This refund waits for nobody's approval."))
        refund.refresh_from_db()
        log_action(by, refund, "Approved")
        if refund.method == Method.BY_HAND:
            change(refund, State.DONE, outcome=f"approved by {by}")
    return refund


def decline(refund_id: UUID, *, by: AbstractBaseUser, why: str) -> Refund:
    """End a refund that was not sent: nothing goes back. Raises RefundRefused."""
    _check_permission(by)
    with atomic():
        refund = _waiting(refund_id)
        if refund.sent_at or not change(refund, State.FAILED, outcome=f"declined by {by}: {why}"):
            raise RefundRefused(_("This refund has been sent already."))
        log_action(by, refund, f"Declined: {why}")
    return refund


def settle_unknown(refund_id: UUID, *, sent_back: bool, by: AbstractBaseUser, why: str, receipt: str = "") -> Refund:
    """Say what became of an unknown refund after a look at M-PESA's portal or statement. Raises RefundRefused."""
    _check_permission(by)
    with atomic():
        refund = _waiting(refund_id, Q(state=State.UNKNOWN))
        state = State.DONE if sent_back else State.FAILED
        found = {"receipt": receipt.strip()[:40]} if receipt.strip() else {}
        change(refund, state, outcome=f"{by}: {why}", **found)
        log_action(by, refund, f"{state.label}: {why}")
    return refund


def _waiting(refund_id: UUID, condition: Q | None = None) -> Refund:
    """Return the refund, with its payment locked; raises RefundRefused when it is not there or not in that state."""
    found = Refund.objects.filter(condition or Q(state=State.REQUESTED), pk=refund_id)
    refund = found.filter(environment=settings.MPESA_ENVIRONMENT).first()
    if refund is None:
        raise RefundRefused(_("There is nothing to decide about this refund any more."))
    lock_payment(refund.transaction_id)
    refund.refresh_from_db()
    return refund
