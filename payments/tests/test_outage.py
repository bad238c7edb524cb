"""While no connection can be had, callbacks go to disk at once: waiting for one would hold up all that come behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError

from payments import db, inbox, spool
from payments.c2b import inbox as by_hand
from payments.c2b.path import validation_url
from payments.conversations import hearing
from payments.db import Outage
from payments.models import Callback, Transaction
from payments.tests.by_hand import confirmation_body
from payments.tests.conftest import callback_body
from payments.views import c2b
from tests.factories import make_transaction

UNCONNECTED = SimpleNamespace(connection=None, in_atomic_block=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [1000.0]
    monkeypatch.setattr(db.time, "monotonic", lambda: now[0])
    yield now
    db.outage.end()


def test_while_it_is_known_only_one_caller_tries_now_and_then(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "connection", UNCONNECTED)
    outage = Outage()
    assert not outage.is_known()
    outage.note()
    assert [outage.is_known() for _caller in range(3)] == [True, True, True]
    clock[0] += db.TRY_AGAIN_AFTER
    assert [outage.is_known() for _caller in range(3)] == [False, True, True]
    outage.end()
    assert not outage.is_known()


@pytest.mark.django_db
def test_a_statement_that_fails_on_a_living_connection_is_no_outage(clock: list[float]) -> None:
    outage = Outage()
    Transaction.objects.exists()
    outage.note()
    assert not outage.is_known()


@pytest.fixture
def _own_spool(settings: Any, tmp_path: Path) -> Iterator[None]:
    spool.replay(lambda _arrived: None)
    settings.CALLBACK_SPOOL_DIR = tmp_path / "spool"
    yield
    spool.replay(lambda _arrived: None)


@pytest.mark.django_db
@pytest.mark.usefixtures("_own_spool")
def test_callbacks_of_a_known_outage_are_spooled_untried_until_one_gets_through(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [make_transaction() for _ in range(4)]
    tried: list[str] = []

    def away(arrived: spool.Arrived) -> bool:
        tried.append(str(arrived.transaction_id))
        raise OperationalError

    def receive(payment: Transaction) -> bool:
        return inbox.receive(payment.pk, callback_body(payment), None)

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_take", away)
        patch.setattr(db, "connection", UNCONNECTED)
        assert [receive(payment) for payment in payments[:3]] == [True, True, True]
    assert (tried, spool.length()) == ([str(payments[0].pk)], 3)
    clock[0] += db.TRY_AGAIN_AFTER
    assert receive(payments[3])
    assert (Callback.objects.count(), spool.length(), db.outage.is_known()) == (1, 3, False)
    spool.replay()
    assert set(Transaction.objects.values_list("status", flat=True)) == {"COMPLETED"}


@pytest.mark.django_db
@pytest.mark.usefixtures("_own_spool", "clock")
def test_what_else_daraja_posts_waits_no_longer_than_callbacks_do(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    """The first to find the database away tells all: results and confirmations go to disk, and validation says yes."""
    tried: list[str] = []

    def away(what: str) -> Callable[..., Any]:
        def refuse(*args: object) -> None:
            tried.append(what)
            raise OperationalError

        return refuse

    refund = uuid.uuid4()
    with monkeypatch.context() as patch:
        patch.setattr(hearing, "take", away("result"))
        patch.setattr(by_hand, "_take", away("confirmation"))
        patch.setattr(c2b, "refusal_of", away("validation"))
        patch.setattr(db, "connection", UNCONNECTED)
        assert hearing.receive(refund, "result", b"{}", None)
        assert hearing.receive(refund, "result", b"{}", None)
        assert by_hand.receive(confirmation_body("ACC", 10), None)
        asked = client.post(urlsplit(validation_url()).path, confirmation_body("ACC", 10), "application/json")
    assert asked.json() == c2b.WELCOME
    assert (tried, spool.length()) == (["result"], 3)
