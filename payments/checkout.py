"""Ask a customer's phone to pay an order: the row first, committed, and only then Daraja."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from payments import clock, limits
from payments.callback_token import callback_url
from payments.daraja import client
from payments.db import release_connection
from payments.documents import document, facts
from payments.history import record
from payments.limits import Asker
from payments.models import Reason, Source, Status, Transaction, payments_of
from payments.phone_numbers import mask
from payments.prompted import keep_ids
from payments.reasons import SAME_AMOUNT_AGAIN, next_prompt_at
from payments.reconciler import ask_about_earlier_attempts
from payments.transitions import begin, transition
from shop.limits import seconds_until
from shop.models import UNMISTAKABLE, Order

log = structlog.get_logger(__name__)

TRY_AGAIN_AFTER = 5  # seconds, when Daraja could not be reached


class CheckoutRefused(Exception):
    """No prompt goes out, or none that we know of; `status` and `code` as the contract names them.

    `retry_after`: seconds. `payment` is there when a row was written: FAILED for `daraja_refused` and
    `daraja_unreachable`, still PENDING for `outcome_unknown`, where the customer may yet pay.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        payment: Transaction | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail
        self.retry_after, self.payment = retry_after, payment


@dataclass(frozen=True)
class Checkout:
    """The payment that is now open; `is_new` when this call sent the prompt."""

    payment: Transaction
    is_new: bool


def start_checkout(
    order_id: UUID, phone_number: str, *, session_key: str | None = None, address: str | None = None
) -> Checkout:
    """Prompt `phone_number` to pay what is due for an order, once; session and address are whose request it is.

    1. An earlier attempt that nobody answered is asked about first: it may have paid.
    2. The order is locked and read; the PENDING row is committed before Daraja hears of it, so that the fastest
       callback finds it. The same order and phone get the payment they already have open.
    3. Daraja is asked outside any database transaction. No usable answer leaves the payment PENDING.

    Raises `CheckoutRefused`.
    """
    asker = Asker.of(address=address, session_key=session_key)
    try:
        _ask_about_earlier_attempts(order_id, phone_number)
        payment, is_new = _open_payment(order_id, phone_number, asker)
        if is_new:
            _push_or_refuse(payment)
    except CheckoutRefused as refusal:
        log.info("push.refused", order_id=str(order_id), phone=mask(phone_number), code=refusal.code)
        raise
    return Checkout(payment, is_new)


def _push_or_refuse(payment: Transaction) -> None:
    try:
        _push(payment)
        payment.refresh_from_db()
    except CheckoutRefused:
        raise
    except Exception as error:
        # A fault of ours, the database's too, counts as no answer: the prompt may be on the phone.
        log.exception("push.crashed", transaction_id=str(payment.pk))
        raise _unknown(payment) from error


def _ask_about_earlier_attempts(order_id: UUID, phone_number: str) -> None:
    """Ask, unless no prompt could follow: knocking at a closed door must not use up our questions to Daraja."""
    order = Order.objects.get(pk=order_id)
    if not payments_of(order).filter(status=Status.FAILED).exclude(check_after=None).exists():
        return
    if not any(seconds_until(moment) for moment in limits.free_at(order, phone_number)):
        ask_about_earlier_attempts(order_id)


def _open_payment(order_id: UUID, phone_number: str, asker: Asker) -> tuple[Transaction, bool]:
    """Return the order's open payment from this phone, and whether it was just made."""
    for _attempt in range(3):
        try:
            with atomic():
                return _open_payment_locked(order_id, phone_number, asker)
        except IntegrityError:
            # Another request opened one between our look and our insert: look again.
            continue
    raise CheckoutRefused(409, "phone_busy", _phone_busy(), retry_after=TRY_AGAIN_AFTER)


def _open_payment_locked(order_id: UUID, phone_number: str, asker: Asker) -> tuple[Transaction, bool]:
    order = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order_id)
    _refuse_closed_order(order)
    open_here = payments_of(order).filter(status=Status.PENDING).first()
    if open_here and open_here.phone_number == phone_number:
        return open_here, False
    if open_here:
        raise CheckoutRefused(
            409,
            "payment_open",
            _("This order is being paid from another phone. Wait until that request has ended."),
            retry_after=seconds_until(open_here.expires_at),
            payment=open_here,
        )
    _refuse(limits.take_turn())
    _refuse_busy_phone(phone_number)
    _refuse_too_soon(order, phone_number, asker)
    return _insert(order, phone_number, asker), True


def _refuse(refusal: limits.Refusal | None) -> None:
    if refusal:
        raise CheckoutRefused(429, refusal.code, refusal.detail, retry_after=refusal.retry_after)


def _refuse_closed_order(order: Order) -> None:
    if order.status == Order.Status.PAID:
        raise CheckoutRefused(409, "order_paid", _("This order is already paid."))
    if order.status == Order.Status.CANCELLED:
        raise CheckoutRefused(409, "order_cancelled", _("This order was cancelled."))
    if payments_of(order).filter(under_review=True).exists():
        raise CheckoutRefused(409, "under_review", _("The shop is checking this payment. Do not pay again."))


def _refuse_busy_phone(phone_number: str) -> None:
    elsewhere = Transaction.objects.filter(
        environment=settings.MPESA_ENVIRONMENT, phone_number=phone_number, status=Status.PENDING
    ).first()
    if elsewhere:
        wait = seconds_until(elsewhere.expires_at)
        raise CheckoutRefused(409, "phone_busy", _phone_busy(), retry_after=wait)


def _phone_busy() -> str:
    return _("This phone has another M-PESA request open. Finish or cancel it there, then try again.")


def _refuse_too_soon(order: Order, phone_number: str, asker: Asker) -> None:
    """Keep M-PESA's own pauses, where it would refuse or the customer could pay twice, and the shop's limits."""
    failed = payments_of(order).filter(phone_number=phone_number, status=Status.FAILED).order_by("-failed_at").first()
    moments = [next_prompt_at(failed)] if failed else []
    just_paid = _just_paid(phone_number, order.amount_due) if settings.RATE_LIMITS else None
    if just_paid:
        moments.append(just_paid + SAME_AMOUNT_AGAIN)
    wait = max((seconds_until(moment) for moment in moments), default=0)
    refusal = limits.refusal(order, phone_number, asker)
    if refusal and refusal.retry_after > wait:
        _refuse(refusal)
    if wait:
        detail = _("M-PESA needs a short pause before this phone can be asked again.")
        raise CheckoutRefused(429, "too_soon", detail, retry_after=wait)


def _just_paid(phone_number: str, amount: int) -> datetime | None:
    """Return when this phone last paid this amount, if that is so fresh that M-PESA would answer 17."""
    fresh = Transaction.objects.filter(
        environment=settings.MPESA_ENVIRONMENT,
        phone_number=phone_number,
        amount=amount,
        completed_at__gt=clock.now() - SAME_AMOUNT_AGAIN,
    )
    return fresh.order_by("-completed_at").values_list("completed_at", flat=True).first()


def _insert(order: Order, phone_number: str, asker: Asker) -> Transaction:
    now = clock.now()
    payment = Transaction.objects.create(
        order=order,
        environment=settings.MPESA_ENVIRONMENT,
        business_short_code=settings.MPESA_SHORTCODE,
        phone_number=phone_number,
        amount=order.amount_due,
        asked_from=asker.address,
        asked_in=asker.session,
        account_reference="".join(secrets.choice(UNMISTAKABLE) for _ in range(12)),
        expires_at=now + timedelta(seconds=settings.MPESA_EXPIRE_AFTER_SECONDS),
        check_after=now + timedelta(seconds=settings.MPESA_QUERY_AFTER_SECONDS),
    )
    begin(payment)
    return payment


def _push(payment: Transaction) -> None:
    """Have Daraja prompt the phone and keep its ids; whatever it answers, the row tells the truth afterwards."""
    log.info(
        "push.started",
        transaction_id=str(payment.pk),
        order_id=str(payment.order_id),
        amount=payment.amount,
        phone=mask(payment.phone_number),
    )
    release_connection()
    try:
        accepted = client.stk_push(
            phone_number=payment.phone_number,
            amount=payment.amount,
            account_reference=payment.account_reference,
            transaction_desc=f"Pay {payment.order.account_number}",
            callback_url=callback_url(payment.pk),
        )
    except client.DarajaRefused as refusal:
        raise _refused(payment, refusal) from refusal
    except client.DarajaUnreachable as error:
        raise _unreachable(payment) from error
    except client.OutcomeUnknown as error:
        record(payment, source=Source.PUSH, note="No usable answer: the prompt may be on the phone")
        raise _unknown(payment) from error
    if not keep_ids(payment, accepted):
        raise _unknown(payment)


def _refused(payment: Transaction, refusal: client.DarajaRefused) -> CheckoutRefused:
    transition(
        payment.pk,
        Status.FAILED,
        source=Source.PUSH,
        reason=refusal.reason,
        result_code=refusal.code[:40],
        result_desc=refusal.message[:250],
    )
    payment.refresh_from_db()
    wait = document(facts(payment))
    return CheckoutRefused(502, "daraja_refused", wait["message"], retry_after=wait["retry_after"], payment=payment)


def _unreachable(payment: Transaction) -> CheckoutRefused:
    transition(payment.pk, Status.FAILED, source=Source.PUSH, reason=Reason.NOT_SENT, note="M-PESA was out of reach")
    payment.refresh_from_db()
    detail = _("We could not contact M-PESA. Nothing was sent to your phone. Try again in a moment.")
    return CheckoutRefused(503, "daraja_unreachable", detail, retry_after=TRY_AGAIN_AFTER, payment=payment)


def _unknown(payment: Transaction) -> CheckoutRefused:
    detail = _("M-PESA did not answer. If a prompt appears on your phone, enter your PIN once. Do not pay again yet.")
    return CheckoutRefused(503, "outcome_unknown", detail, payment=payment)
