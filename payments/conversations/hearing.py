"""Take what Daraja posts to the URLs of a conversation: stored first, then told to whoever asked; and end the waiting.

The token says which conversation; where its ids are known, one of them has to match. A crash in between leaves a row
`received`, which the reconciler drives again. Late and repeated results are told like any other: what they mean for
the money, the one who asked decides.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone

from environment import is_listed
from payments import spool
from payments.conversations import tell
from payments.conversations.asking import RESULT, TIMEOUT
from payments.daraja.later import NotAResult, Result, parse_result
from payments.db import take_or_put_aside
from payments.models import Conversation, ConversationResult
from payments.spool import Arrived
from prepared import Select, given

log = structlog.get_logger(__name__)

KEPT = 5  # bodies per conversation that are no result, or came from elsewhere
REDRIVE_AFTER = timedelta(seconds=5)  # younger rows are still being processed by the request that stored them
TRY_AGAIN = timedelta(seconds=60)
MOST_ATTEMPTS = 20  # after that a person has to look
BATCH = 100

State = Conversation.State
ResultState = ConversationResult.State


def receive(conversation_id: UUID, route: str, body: bytes, remote_address: str | None) -> bool:
    """Store what came with the token of a conversation, then tell who asked; False when it is no result.

    Without a database the body goes to the spool; raises `spool.SpoolFull` or OSError when that cannot take it.
    """

    def put_aside() -> bool:
        spool.append(conversation_id, body, remote_address, route=route)
        return True

    return take_or_put_aside(
        lambda: take(Arrived(conversation_id, body, remote_address, timezone.now(), route)), put_aside
    )


def take(arrived: Arrived) -> bool:
    """Store and process one body, as it arrived or from the spool."""
    conversation = Conversation.objects.filter(
        pk__in=[arrived.transaction_id], environment=settings.MPESA_ENVIRONMENT
    ).first()
    if conversation is None:
        return False
    senders = settings.MPESA_CALLBACK_IPS
    if senders and not is_listed(arrived.remote_address, senders):
        _keep(conversation, arrived, ResultState.HINT, "the sender is not in MPESA_CALLBACK_IPS")
        return True
    try:
        if arrived.route != TIMEOUT:
            parse_result(arrived.body)
    except NotAResult as error:
        _keep(conversation, arrived, ResultState.REJECTED, str(error))
        log.warning("result.rejected", conversation=str(conversation.pk), why=str(error))
        return False
    stored = _store(conversation, arrived)
    if stored.state == ResultState.RECEIVED:
        process(stored)
    return True


spool.takers[RESULT] = spool.takers[TIMEOUT] = take


def _keep(conversation: Conversation, arrived: Arrived, state: ConversationResult.State, why: str) -> None:
    """Keep a few bodies as evidence that decide nothing: the conversation is given up in time, and asked about."""
    if conversation.results.filter(state=state).count() < KEPT:
        _store(conversation, arrived, state=state, outcome=why[:250])


def _store(
    conversation: Conversation,
    arrived: Arrived,
    *,
    state: ConversationResult.State = ResultState.RECEIVED,
    outcome: str = "",
) -> ConversationResult:
    """Insert the body, or count one more copy of it."""
    digest = hashlib.sha256(arrived.body).hexdigest()
    key = {"conversation": conversation, "is_timeout": arrived.route == TIMEOUT, "digest": digest}
    try:
        with atomic():
            return ConversationResult.objects.create(
                **key,
                body=arrived.body,
                remote_address=arrived.remote_address,
                received_at=arrived.received_at,
                state=state,
                outcome=outcome,
            )
    except IntegrityError:
        same = ConversationResult.objects.filter(**key).exclude(state=ResultState.HINT)
        same.update(copies=F("copies") + 1)
        return same.get()


def process(stored: ConversationResult) -> bool:
    """Apply one stored body; True when that is done, False when it has to be driven again."""
    try:
        with atomic():
            outcome = _apply(stored)
            done = {"state": ResultState.PROCESSED, "outcome": outcome[:250], "processed_at": timezone.now()}
            ConversationResult.objects.filter(pk=stored.pk).update(**done)
    except Exception:
        log.exception("result.failed", conversation=str(stored.conversation_id))
        ConversationResult.objects.filter(pk=stored.pk).update(attempts=F("attempts") + 1)
        return False
    log.info("result.processed", conversation=str(stored.conversation_id), outcome=outcome)
    return True


def _apply(stored: ConversationResult) -> str:
    conversation = Conversation.objects.select_for_update().get(pk=stored.conversation_id)
    if stored.is_timeout:
        return _time_out(conversation)
    result = parse_result(bytes(stored.body))
    if not _is_about(conversation, result):
        return "ids differ: kept, and not believed"
    conversation.state, conversation.answer_due_at = State.ANSWERED, None
    conversation.result_code, conversation.result_desc = result.result_code, result.result_desc
    conversation.answered_at = conversation.answered_at or timezone.now()
    conversation.originator_conversation_id = (
        conversation.originator_conversation_id or result.originator_conversation_id
    )
    conversation.conversation_id = conversation.conversation_id or result.conversation_id
    conversation.save()
    return tell(conversation, result)


def _time_out(conversation: Conversation) -> str:
    """Believe M-PESA that it gave up waiting in its queue; not that nothing was done."""
    if conversation.state == State.ANSWERED:
        return "the result had come before"
    conversation.state, conversation.answer_due_at = State.TIMED_OUT, None
    conversation.save(update_fields=["state", "answer_due_at"])
    return tell(conversation, None)


def _is_about(conversation: Conversation, result: Result) -> bool:
    """Return whether an id that both sides name is the same; without any the token alone identifies it."""
    pairs = [
        (conversation.originator_conversation_id, result.originator_conversation_id),
        (conversation.conversation_id, result.conversation_id),
    ]
    told = [(known, new) for known, new in pairs if known and new]
    return not told or any(known == new for known, new in told)


def redrive() -> int:
    """Process what a crash or a fault left `received`; return how many could not be yet."""
    if _some_left.row() is None:
        return 0
    left = ConversationResult.objects.filter(
        state=ResultState.RECEIVED,
        conversation__environment=settings.MPESA_ENVIRONMENT,
        attempts__lt=MOST_ATTEMPTS,
        received_at__lte=timezone.now() - REDRIVE_AFTER,
    )
    return sum(not process(stored) for stored in left.order_by("id")[:BATCH])


_some_left = Select(
    lambda: ConversationResult.objects.filter(state=ResultState.RECEIVED).order_by().values_list("pk")[:1]
)


def give_up_overdue() -> int:
    """Tell who asked that no result came in time; return how many. A later one is told all the same."""
    now = timezone.now()
    if _some_overdue.row(environment=settings.MPESA_ENVIRONMENT, now=now) is None:
        return 0
    overdue = Conversation.objects.filter(environment=settings.MPESA_ENVIRONMENT, answer_due_at__lte=now).order_by(
        "answer_due_at"
    )
    return sum(_give_up_or_wait(pk) for pk in overdue.values_list("pk", flat=True)[:BATCH])


_some_overdue = Select(
    lambda: (
        Conversation.objects.filter(
            environment=given(Conversation, "environment"),
            answer_due_at__lte=given(Conversation, "answer_due_at", "now"),
        )
        .order_by()
        .values_list("pk")[:1]
    )
)


def _give_up_or_wait(pk: UUID) -> bool:
    """Give up one; where its asker fails, try again later, so that the others have their turn."""
    try:
        return _give_up(pk)
    except Exception:
        log.exception("conversation.not_given_up", conversation=str(pk))
        Conversation.objects.filter(pk=pk).update(answer_due_at=timezone.now() + TRY_AGAIN)
        return False


def _give_up(pk: UUID) -> bool:
    with atomic():
        conversation = Conversation.objects.select_for_update().get(pk=pk)
        if conversation.answer_due_at is None or conversation.answer_due_at > timezone.now():
            return False
        if conversation.results.filter(state=ResultState.RECEIVED, attempts__lt=MOST_ATTEMPTS).exists():
            return False  # it is here already, and about to be driven
        conversation.state, conversation.answer_due_at = State.UNKNOWN, None
        conversation.save(update_fields=["state", "answer_due_at"])
        outcome = tell(conversation, None)
    log.warning("conversation.given_up", conversation=str(pk), kind=conversation.kind, outcome=outcome)
    return True
