"""What comes to the URLs of a conversation: stored first, told once for each different body, believed with care."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from payments import conversations, spool
from payments.conversations import asking, hearing
from payments.daraja import operator
from payments.daraja.client import DarajaRefused, DarajaUnreachable, OutcomeUnknown
from payments.daraja.later import Result
from payments.daraja.operator import Acknowledged
from payments.models import Conversation, ConversationResult, Reason
from payments.tests.conftest import raising

pytestmark = pytest.mark.django_db

State = Conversation.State
ACKNOWLEDGED = Acknowledged("29115-1-1", "AG_20261125_1")


def result_body(*, code: object = 0, **changes: Any) -> bytes:
    """Return a result as Daraja words it, with its oddities."""
    parameters = [
        {"Key": "DebitPartyName", "Value": "600310 - Shop"},
        {"Key": "DebitPartyName", "Value": "600310 - Shop"},
        {"Key": "TransactionReason"},
        {"Key": "TransactionStatus", "Value": "Completed"},
        {"Key": "Amount", "Value": 1500.00},
        {"Key": "ReceiptNo", "Value": "UKP7R2X0QD"},
    ]
    result = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "as Daraja says",
        "OriginatorConversationID": ACKNOWLEDGED.originator_conversation_id,
        "ConversationID": ACKNOWLEDGED.conversation_id,
        "TransactionID": "UKP0000001",
        "ResultParameters": {"ResultParameter": parameters},
        "ReferenceData": {"ReferenceItem": {"Key": "Occasion"}},
        **changes,
    }
    return json.dumps({"Result": result}).encode()


class Asker:
    """Somebody who asks and notes what they hear."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Result | None]] = []
        self.fails = False

    def hear(self, conversation: Conversation, result: Result | None) -> str:
        if self.fails:
            raise RuntimeError("the asker stumbles")
        self.heard.append((conversation.state, result))
        return "heard"


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asker]:
    asker = Asker()
    monkeypatch.setattr(operator, "transaction_status", lambda **asked: ACKNOWLEDGED)
    monkeypatch.setitem(conversations._registered, "test", asker.hear)
    return asker


@pytest.fixture
def ask() -> Callable[[], Conversation]:
    return lambda: asking.ask_transaction_status(receipt="UKP7R2X0QD", purpose="test", subject="1")


def post(client: Any, conversation: Conversation, body: bytes, route: str = "result") -> Any:
    path = asking.answer_url(conversation, route).partition("/payments/")[2]
    return client.post(f"/payments/{path}", body, content_type="application/json")


def test_a_result_is_stored_told_and_answered(client: Any, asker: Asker, ask: Any) -> None:
    conversation = ask()
    assert conversation.state == State.ACCEPTED
    response = post(client, conversation, result_body())
    assert (response.status_code, response.json()) == (200, {"ResultCode": 0, "ResultDesc": "Accepted"})
    conversation.refresh_from_db()
    assert (conversation.state, conversation.result_code, conversation.answer_due_at) == (State.ANSWERED, "0", None)
    [(state, told)] = asker.heard
    assert state == State.ANSWERED
    assert told is not None
    assert (told.amount, told.one("DebitPartyName"), told.one("TransactionReason")) == (1500, "600310 - Shop", None)
    assert bytes(ConversationResult.objects.get().body) == result_body()


def test_a_result_that_comes_twice_is_told_once(client: Any, asker: Asker, ask: Any) -> None:
    conversation = ask()
    for _ in range(3):
        assert post(client, conversation, result_body()).status_code == 200
    assert len(asker.heard) == 1
    assert ConversationResult.objects.get().copies == 3


def test_a_result_before_the_answer_keeps_its_word(
    client: Any, asker: Asker, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_late(**asked: Any) -> Acknowledged:
        body = result_body()
        client.post(asked["result_url"].partition("8000")[2], body, content_type="application/json")
        return ACKNOWLEDGED

    monkeypatch.setattr(operator, "transaction_status", answer_late)
    conversation = ask()
    assert (conversation.state, conversation.answer_due_at, len(asker.heard)) == (State.ANSWERED, None, 1)
    assert conversation.conversation_id == ACKNOWLEDGED.conversation_id


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DarajaRefused("400.002.02", "Bad Request", Reason.NOT_SENT), State.REFUSED),
        (DarajaUnreachable("ConnectTimeout"), State.REFUSED),
        (OutcomeUnknown("ReadTimeout"), State.UNKNOWN),
    ],
)
def test_how_asking_went_is_kept(
    asker: Asker, ask: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str
) -> None:
    monkeypatch.setattr(operator, "transaction_status", raising(error))
    conversation = ask()
    assert (conversation.state, conversation.problem) == (state, str(error))
    assert (conversation.answer_due_at is None) == (state == State.REFUSED)


def test_after_a_lost_answer_the_token_alone_brings_the_result_home(
    client: Any, asker: Asker, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "transaction_status", raising(OutcomeUnknown("ReadTimeout")))
    conversation = ask()
    post(client, conversation, result_body())
    conversation.refresh_from_db()
    assert (conversation.state, conversation.originator_conversation_id) == (State.ANSWERED, "29115-1-1")


def test_silence_is_told_once_and_a_late_result_all_the_same(client: Any, asker: Asker, ask: Any) -> None:
    conversation = ask()
    assert hearing.give_up_overdue() == 0
    Conversation.objects.update(answer_due_at=timezone.now() - timedelta(seconds=1))
    assert (hearing.give_up_overdue(), hearing.give_up_overdue()) == (1, 0)
    post(client, conversation, result_body())
    assert [state for state, _told in asker.heard] == [State.UNKNOWN, State.ANSWERED]
    assert asker.heard[0][1] is None


def test_a_queue_timeout_says_that_nobody_knows(client: Any, asker: Asker, ask: Any) -> None:
    conversation = ask()
    assert post(client, conversation, b"anything at all", "timeout").status_code == 200
    conversation.refresh_from_db()
    assert (conversation.state, asker.heard) == (State.TIMED_OUT, [(State.TIMED_OUT, None)])


def test_ids_that_differ_are_kept_and_not_believed(client: Any, asker: Asker, ask: Any) -> None:
    conversation = ask()
    body = result_body(OriginatorConversationID="somebody-elses", ConversationID="AG_other")
    assert post(client, conversation, body).status_code == 200
    conversation.refresh_from_db()
    assert (conversation.state, asker.heard) == (State.ACCEPTED, [])
    assert "ids differ" in ConversationResult.objects.get().outcome


def test_a_token_opens_only_its_own_route(client: Any, asker: Asker, ask: Any) -> None:
    token = asking.answer_url(ask(), "result").rstrip("/").rpartition("/")[2]
    for path in (f"callback/timeout/{token}/", f"callback/{token}/", "callback/result/0.0/"):
        assert client.post(f"/payments/{path}", result_body(), content_type="application/json").status_code == 404
    assert client.get(f"/payments/callback/result/{token}/").status_code == 405
    assert not ConversationResult.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Result": []}', b'{"Result": {}}', b"\xff", b"[" * 5000])
def test_what_is_no_result_is_kept_and_refused(client: Any, asker: Asker, ask: Any, body: bytes) -> None:
    conversation = ask()
    assert post(client, conversation, body).status_code == 400
    assert (ConversationResult.objects.get().state, asker.heard) == ("rejected", [])


def test_a_body_beyond_all_bounds_is_not_kept(client: Any, asker: Asker, ask: Any) -> None:
    assert post(client, ask(), b"x" * 70_000).status_code == 413
    assert not ConversationResult.objects.exists()


def test_a_result_from_elsewhere_is_only_kept(client: Any, asker: Asker, ask: Any, settings: Any) -> None:
    settings.MPESA_CALLBACK_IPS = (ipaddress.ip_network("196.201.212.0/24"),)
    conversation = ask()
    assert post(client, conversation, result_body()).status_code == 200
    assert (ConversationResult.objects.get().state, asker.heard) == ("hint", [])
    settings.MPESA_CALLBACK_IPS = ()
    post(client, conversation, result_body())
    assert len(asker.heard) == 1


def test_a_result_whose_asker_stumbles_is_driven_again(client: Any, asker: Asker, ask: Any) -> None:
    conversation, asker.fails = ask(), True
    assert post(client, conversation, result_body()).status_code == 200
    assert ConversationResult.objects.get().state == "received"
    asker.fails = False
    ConversationResult.objects.update(received_at=timezone.now() - timedelta(seconds=10))
    assert hearing.redrive() == 0
    assert len(asker.heard) == 1


def test_a_result_that_is_here_already_is_not_given_up(client: Any, asker: Asker, ask: Any) -> None:
    conversation, asker.fails = ask(), True
    post(client, conversation, result_body())
    Conversation.objects.update(answer_due_at=timezone.now() - timedelta(seconds=1))
    assert hearing.give_up_overdue() == 0


def test_a_result_that_comes_while_the_database_is_away_waits_on_disk(
    client: Any, asker: Asker, ask: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CALLBACK_SPOOL_DIR = tmp_path
    conversation = ask()
    with monkeypatch.context() as away:
        away.setattr(hearing, "take", raising(OperationalError("the database is away")))
        assert post(client, conversation, result_body()).status_code == 200
    assert asker.heard == []
    assert spool.replay() == 1
    assert len(asker.heard) == 1


def test_another_environments_result_changes_nothing(client: Any, asker: Asker, ask: Any) -> None:
    conversation = ask()
    Conversation.objects.update(environment="sandbox")
    assert post(client, conversation, result_body()).status_code == 400
    assert asker.heard == []
