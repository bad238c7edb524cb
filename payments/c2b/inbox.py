"""The inbox of what comes by hand: stored as bytes first, and believed only when M-PESA itself has said the same.

The path is one constant, so whoever reads an access log can post here. A confirmation therefore makes us ask; it
moves no money (C2B_TRUST_BELOW excepted). A crash between storing and understanding leaves the row `received`.
"""

from __future__ import annotations

import hashlib
import json

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone

from environment import is_listed
from payments import inbox, spool
from payments.amendments import announce_found_by_hand
from payments.c2b.counting import count, finish, holder_of, lock_order, repeat
from payments.c2b.message import Message, NotAConfirmation, parse_message
from payments.db import take_or_put_aside
from payments.models import Channel, Confirmation, Status, Transaction
from payments.settlement import ask_now
from payments.spool import Arrived
from prepared import Select, given
from shop.models import Order

log = structlog.get_logger(__name__)

State = Confirmation.State
REJECTED_KEPT = 50  # bodies that are no confirmation, in all
MOST_WAITING = 20_000  # beyond so many only those are kept that name an order or a prompt of ours


def receive(body: bytes, remote_address: str | None) -> bool:
    """Store a confirmation, then look what it is about; False when the body is none.

    Returns once the body is safely stored. Without a database it goes to the spool; raises `spool.SpoolFull` or
    OSError when that cannot take it either.
    """
    return take_or_put_aside(
        lambda: _take(Arrived(None, body, remote_address, timezone.now(), "confirmation")),
        lambda: _put_aside(body, remote_address),
    )


def _put_aside(body: bytes, remote_address: str | None) -> bool:
    if not _is_confirmation(body):
        return False
    spool.append(None, body, remote_address, route="confirmation")
    return True


def _is_confirmation(body: bytes) -> bool:
    try:
        return is_ours(parse_message(body))
    except NotAConfirmation:
        return False


def is_ours(message: Message) -> bool:
    """Return whether the money went to the shop: to its short code, or to its till."""
    return message.business_short_code in {settings.MPESA_SHORTCODE, settings.MPESA_TILL_NUMBER}


def _take(arrived: Arrived) -> bool:
    try:
        message = parse_message(arrived.body)
    except NotAConfirmation as error:
        return _reject(arrived, str(error))
    if not is_ours(message):
        return _reject(arrived, f"for short code {message.business_short_code}, which is not ours")
    prompt, order = named(message)
    if not (prompt or order) and _is_full():
        log.error("confirmation.dropped", why="the inbox is full of unknown accounts")
        return True
    confirmation = _store(arrived, message, prompt, order)
    if confirmation.state == State.RECEIVED:
        process(confirmation)
    return True


spool.takers["confirmation"] = _take


def _is_full() -> bool:
    waiting = Confirmation.objects.filter(state=State.CHECKING, order=None)
    return waiting.order_by().values("pk")[MOST_WAITING:].exists()


def named(message: Message) -> tuple[Transaction | None, Order | None]:
    """Return the prompt whose AccountReference the payer's account number is, or the order that has it."""
    account = message.account
    if not account:
        return None, None
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, channel=Channel.STK)
    prompt = mine.filter(account_reference=account).select_related("order").first()
    return prompt, prompt.order if prompt else Order.objects.filter(account_number=account).first()


def _store(
    arrived: Arrived, message: Message | None, prompt: Transaction | None = None, order: Order | None = None
) -> Confirmation:
    """Insert the body as it came, or count one more copy of it."""
    key = hashlib.sha256(settings.MPESA_ENVIRONMENT.encode() + b"|" + arrived.body).hexdigest()
    about = {name: getattr(message, name) for name in ("trans_id", "amount", "bill_ref_number", "msisdn") if message}
    try:
        with atomic():
            return Confirmation.objects.create(
                dedup_key=key,
                environment=settings.MPESA_ENVIRONMENT,
                body=arrived.body,
                remote_address=arrived.remote_address,
                received_at=arrived.received_at,
                transaction=prompt,
                order=order,
                state=State.RECEIVED if message else State.REJECTED,
                **about,
            )
    except IntegrityError:
        Confirmation.objects.filter(dedup_key=key).update(copies=F("copies") + 1)
        return Confirmation.objects.get(dedup_key=key)


def keep_told(message: Message, *, how: str) -> Confirmation:
    """Keep money that M-PESA itself has named, and that nobody had confirmed to us, like a confirmation; once."""
    prompt, order = named(message)
    key = hashlib.sha256(f"{settings.MPESA_ENVIRONMENT}|told|{message.trans_id}".encode()).hexdigest()
    return Confirmation.objects.get_or_create(
        dedup_key=key,
        defaults={
            "environment": settings.MPESA_ENVIRONMENT,
            "body": json.dumps({**vars(message), "told_by": how}).encode(),
            "received_at": timezone.now(),
            "is_trusted": True,
            "trans_id": message.trans_id,
            "amount": message.amount,
            "bill_ref_number": message.bill_ref_number,
            "msisdn": message.msisdn,
            "transaction": prompt,
            "order": order,
            "state": State.UNMATCHED,
            "outcome": f"M-PESA told of it: {how}"[:250],
            "processed_at": timezone.now(),
        },
    )[0]


def _reject(arrived: Arrived, why: str) -> bool:
    """Keep a few bodies that are no confirmation as evidence."""
    if Confirmation.objects.filter(state=State.REJECTED).count() < REJECTED_KEPT:
        finish(_store(arrived, None), State.REJECTED, why)
    log.warning("confirmation.rejected", why=why)
    return False


def process(confirmation: Confirmation) -> bool:
    """Find out what a stored confirmation is about, and have M-PESA asked; True when that is done."""
    try:
        outcome = _process(confirmation)
    except Exception:
        log.exception("confirmation.failed", receipt=confirmation.trans_id)
        Confirmation.objects.filter(pk=confirmation.pk).update(attempts=F("attempts") + 1)
        return False
    log.info("confirmation.processed", receipt=confirmation.trans_id, outcome=outcome, copies=confirmation.copies)
    return True


def _process(confirmation: Confirmation) -> str:
    held = holder_of(confirmation.trans_id)
    if held is not None:
        with atomic():
            return repeat(confirmation, held)
    if confirmation.amount is None:
        return finish(confirmation, State.UNMATCHED, "the amount is not one that can be counted: staff have to look")
    if not settings.MPESA_INITIATOR_NAME and not _is_believed(confirmation):
        return finish(confirmation, State.UNMATCHED, "M-PESA cannot be asked: there is no API operator")
    _wait_for_word(confirmation)
    if _is_believed(confirmation):
        outcome = count(confirmation, note="believed at once, M-PESA is asked afterwards")
        Confirmation.objects.filter(pk=confirmation.pk, is_trusted=False).update(check_after=timezone.now())
        return outcome
    return "M-PESA is asked"


def _is_believed(confirmation: Confirmation) -> bool:
    """Return whether the amount is so small that the shop would rather lose it than have the customer wait."""
    if confirmation.order_id is None or not 0 < (confirmation.amount or 0) < settings.C2B_TRUST_BELOW:
        return False
    senders = settings.MPESA_CALLBACK_IPS
    return not senders or is_listed(confirmation.remote_address, senders)


def _wait_for_word(confirmation: Confirmation) -> None:
    """Have M-PESA asked about the receipt, and a prompt's own payment too; the order's pages say what is found."""
    with atomic():
        order_id = confirmation.order_id
        if order_id is not None:
            lock_order(order_id)
        mine = Confirmation.objects.filter(pk=confirmation.pk, state=State.RECEIVED)
        if not mine.update(state=State.CHECKING, check_after=timezone.now()):
            return
        prompt = confirmation.transaction
        if prompt is not None and prompt.status != Status.COMPLETED:
            ask_now(prompt.pk)
        elif prompt is None and order_id is not None:
            announce_found_by_hand(order_id, found=True, note="A payment by hand is announced, M-PESA is asked")


def redrive() -> int:
    """Look again at what a crash or a fault left `received`; return how many could not be understood yet."""
    if _some_left.row(environment=settings.MPESA_ENVIRONMENT) is None:
        return 0  # as nearly always, twice a second; to word what is due costs ten times this question
    mine = Confirmation.objects.filter(environment=settings.MPESA_ENVIRONMENT)
    left = mine.filter(inbox.is_due(), state=State.RECEIVED)
    return sum(not process(confirmation) for confirmation in left.order_by("id")[:200])


_some_left = Select(
    lambda: (
        Confirmation.objects.filter(environment=given(Confirmation, "environment"), state=State.RECEIVED)
        .order_by()
        .values_list("pk")[:1]
    )
)
