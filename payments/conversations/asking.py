"""Begin a conversation with Daraja: the row is committed first, so that the fastest result finds it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db.models import Case, F, Value, When
from django.utils import timezone

from payments import budget
from payments.callback_token import make_callback_token
from payments.daraja import operator
from payments.daraja.client import DarajaError, DarajaRefused, DarajaThrottled, DarajaUnreachable
from payments.daraja.operator import Acknowledged
from payments.models import Conversation

State = Conversation.State
RESULT, TIMEOUT = "result", "timeout"  # the two routes, each with a token of its own
NO_ANSWER_YET = (State.REQUESTED, State.UNKNOWN)


def ask_transaction_status(
    *, receipt: str = "", originator_conversation_id: str = "", purpose: str, subject: str
) -> Conversation:
    """Ask what became of a transaction, by its receipt or the conversation that began it; return how asking went.

    Never raises DarajaError: REFUSED when nothing was asked, UNKNOWN when the answer was lost and the result may
    still come. Call it outside any database transaction.
    """
    conversation = begin(Conversation.Kind.TRANSACTION_STATUS, receipt=receipt, purpose=purpose, subject=subject)

    def send() -> Acknowledged:
        return operator.transaction_status(
            receipt=receipt,
            originator_conversation_id=originator_conversation_id,
            result_url=answer_url(conversation, RESULT),
            timeout_url=answer_url(conversation, TIMEOUT),
        )

    return _send(conversation, send)


def send_reversal(conversation: Conversation, *, amount: int, remarks: str) -> Conversation:
    """Ask for the reversal of `amount` KES that `begin` has written down; once, for there is no second try.

    Never raises DarajaError: REFUSED when no money moves, UNKNOWN when it may. Call it outside any database
    transaction.
    """

    def send() -> Acknowledged:
        return operator.reversal(
            receipt=conversation.receipt,
            amount=amount,
            remarks=remarks,
            result_url=answer_url(conversation, RESULT),
            timeout_url=answer_url(conversation, TIMEOUT),
        )

    return _send(conversation, send)


def begin(kind: Conversation.Kind, *, receipt: str, purpose: str, subject: str) -> Conversation:
    """Write down that a request goes out; in the caller's database transaction where it must not go out twice."""
    patience = settings.DARAJA_TIMEOUT_SECONDS * 2 + settings.MPESA_RESULT_WITHIN_SECONDS
    return Conversation.objects.create(
        environment=settings.MPESA_ENVIRONMENT,
        kind=kind,
        receipt=receipt,
        purpose=purpose,
        subject=subject,
        answer_due_at=timezone.now() + timedelta(seconds=patience),
    )


def answer_url(conversation: Conversation, route: str) -> str:
    """Return the URL that Daraja posts to, built from PUBLIC_BASE_URL."""
    token = make_callback_token(conversation.pk, use=route)
    return f"{settings.PUBLIC_BASE_URL}/payments/callback/{route}/{token}/"


def _send(conversation: Conversation, send: Callable[[], Acknowledged]) -> Conversation:
    try:
        told = send()
    except (DarajaRefused, DarajaUnreachable) as error:
        if isinstance(error, DarajaThrottled) and conversation.kind == Conversation.Kind.TRANSACTION_STATUS:
            budget.be_silent()
        _note(conversation, State.REFUSED, problem=str(error)[:250], answer_due_at=None)
    except DarajaError as error:
        _note(conversation, State.UNKNOWN, problem=str(error)[:250])
    else:
        due_at = timezone.now() + timedelta(seconds=settings.MPESA_RESULT_WITHIN_SECONDS)
        ids = {
            "originator_conversation_id": told.originator_conversation_id,
            "conversation_id": told.conversation_id,
        }
        _note(conversation, State.ACCEPTED, accepted_at=timezone.now(), answer_due_at=due_at, **ids)
    conversation.refresh_from_db()
    return conversation


def _note(conversation: Conversation, state: Conversation.State, **fields: object) -> None:
    """Note how asking went; a result that was faster keeps its word, and nobody waits for it any more."""
    still_open = When(state__in=NO_ANSWER_YET, then=Value(state))
    if "answer_due_at" in fields:
        waits = When(state__in=NO_ANSWER_YET, then=Value(fields["answer_due_at"]))
        fields["answer_due_at"] = Case(waits, default=F("answer_due_at"))
    mine = Conversation.objects.filter(pk=conversation.pk)
    mine.update(state=Case(still_open, default=F("state")), **fields)
