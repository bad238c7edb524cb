"""Money that came by hand → a payment of its own, or the prompt it belongs to. Each receipt counts once.

Nothing here believes a confirmation: `count` is called when M-PESA itself has named the receipt, when staff decide, or
for an amount below C2B_TRUST_BELOW.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError
from django.db.transaction import atomic
from django.utils import timezone

from payments.amendments import amend, announce_found_by_hand
from payments.history import open_discrepancy, record
from payments.models import Channel, Confirmation, Discrepancy, Source, Status, Transaction
from payments.transitions import transition
from shop.models import Order

log = structlog.get_logger(__name__)

State = Confirmation.State
Kind = Discrepancy.Kind
OPEN_STATES = (State.RECEIVED, State.CHECKING, State.UNMATCHED)


def count(confirmation: Confirmation, *, note: str, by: AbstractBaseUser | None = None) -> str:
    """Count the money of a confirmation for what it names; return what became of it, in words for staff.

    `by`: the person who decides that it is this order's, whatever others have named.

    A receipt that a payment holds already is counted: this is then one more word about that payment. For nothing that
    we know it waits for staff as UNMATCHED.
    """
    for _attempt in range(2):
        try:
            with atomic():
                return _count(confirmation, note=note, by=by)
        except IntegrityError:
            continue  # the receipt was counted meanwhile: read again, now it is held
    return "still waiting: the receipt is being counted elsewhere"


def _count(confirmation: Confirmation, *, note: str, by: AbstractBaseUser | None) -> str:
    order_id = confirmation.order_id
    if order_id is not None:
        lock_order(order_id)
    confirmation = Confirmation.objects.select_for_update(of=("self",)).get(pk=confirmation.pk)
    if confirmation.state not in OPEN_STATES or confirmation.order_id != order_id:
        return f"settled before: {confirmation.outcome}"
    held = holder_of(confirmation.trans_id)
    if held is not None:
        return repeat(confirmation, held)
    if order_id is None or confirmation.amount is None:
        return finish(confirmation, State.UNMATCHED, f"{note}: for no order that we know")
    if by is None and _is_named_for_another(confirmation):
        return finish(confirmation, State.UNMATCHED, f"{note}: two orders are named for it")
    prompt = confirmation.transaction
    if prompt is not None and prompt.amount == confirmation.amount:
        return _count_for_prompt(confirmation, prompt.pk, note=note)
    return _count_for_order(confirmation, order_id, note=note, by=by)


def lock_order(order_id: UUID) -> None:
    """Lock an order before anything of it is read: the one order of locks is order first, then payment."""
    Order.objects.select_for_update(of=("self",), no_key=True).filter(pk=order_id).values("pk").first()


def holder_of(trans_id: str) -> Transaction | None:
    """Return the payment of this environment that has this receipt."""
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT)
    return mine.filter(mpesa_receipt_number=trans_id).first()


def _is_named_for_another(confirmation: Confirmation) -> bool:
    """Return whether another confirmation says that this receipt is for another order: one of them is a lie."""
    rivals = Confirmation.objects.filter(
        environment=confirmation.environment, trans_id=confirmation.trans_id, state__in=OPEN_STATES
    )
    return rivals.exclude(order=None).exclude(order=confirmation.order_id).exists()


def _count_for_order(
    confirmation: Confirmation, order_id: UUID, *, note: str, by: AbstractBaseUser | None = None
) -> str:
    payment = Transaction.objects.create(
        order_id=order_id,
        environment=confirmation.environment,
        channel=Channel.C2B,
        business_short_code=settings.MPESA_TILL_NUMBER or settings.MPESA_SHORTCODE,
        phone_number=confirmation.msisdn,
        amount=confirmation.amount or 0,
        account_reference=confirmation.bill_ref_number,
        mpesa_receipt_number=confirmation.trans_id,
        expires_at=timezone.now(),
    )
    transition(payment.pk, Status.COMPLETED, source=Source.STAFF if by else Source.C2B, note=note, by=by)
    return finish(confirmation, State.COUNTED, f"counted: {note}", transaction=payment)


def _count_for_prompt(confirmation: Confirmation, payment_id: UUID, *, note: str) -> str:
    """Let the confirmation complete the prompt whose AccountReference it names, or bring its receipt."""
    payment = Transaction.objects.select_for_update(of=("self",), no_key=True).get(pk=payment_id)
    receipt = confirmation.trans_id
    if payment.status == Status.COMPLETED and payment.mpesa_receipt_number is None:
        amend(payment.pk, source=Source.C2B, note="The receipt arrived", mpesa_receipt_number=receipt)
        return finish(confirmation, State.COUNTED, "the receipt of the prompt")
    if payment.status == Status.COMPLETED:
        # The prompt was paid, and then the same reference once more, by hand: that is money of its own.
        return _count_for_order(confirmation, payment.order_id, note=note)
    told: dict[str, Any] = {"result_code": "0", "mpesa_receipt_number": receipt}
    if transition(payment.pk, Status.COMPLETED, source=Source.C2B, note=note, **told):
        return finish(confirmation, State.COUNTED, "completed the prompt")
    record(payment, source=Source.C2B, note=f"Receipt {receipt} while under review")
    return finish(confirmation, State.UNMATCHED, "its prompt is under review: a supervisor decides")


def repeat(confirmation: Confirmation, held: Transaction) -> str:
    """Take one more word about a payment that has this receipt; what it says otherwise changes nothing."""
    same_order = confirmation.order_id in (None, held.order_id)
    if same_order and confirmation.amount in (None, held.amount):
        return finish(confirmation, State.COUNTED, "the receipt is counted already", transaction=held)
    if confirmation.amount == held.amount:
        # Once per payment, however often it is said: whoever knows the path could say it a thousand times.
        open_discrepancy(held, Kind.CONTRADICTION, receipt=confirmation.trans_id, named="for another order too")
    return finish(confirmation, State.REFUSED, "the receipt is counted for something else")


def finish(confirmation: Confirmation, state: str, outcome: str, **fields: Any) -> str:
    """Write what became of a confirmation, and let the order's pages stop waiting for it."""
    Confirmation.objects.filter(pk=confirmation.pk).update(
        state=state, outcome=outcome[:250], processed_at=timezone.now(), check_after=None, **fields
    )
    stop_announcing(confirmation)
    log.info("confirmation.settled", receipt=confirmation.trans_id, state=str(state), outcome=outcome)
    return outcome


def stop_announcing(confirmation: Confirmation) -> None:
    """Let the order's pages no longer say "found", unless another confirmation still waits for M-PESA's word."""
    if confirmation.order_id is None or confirmation.transaction_id is not None:
        return
    others = Confirmation.objects.filter(order=confirmation.order_id, environment=confirmation.environment)
    waiting = others.filter(transaction=None, state=State.CHECKING)
    if not waiting.exclude(check_after=None).exists():
        announce_found_by_hand(confirmation.order_id, found=False, note="No payment by hand waits for M-PESA's word")
