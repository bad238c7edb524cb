"""Delivery telemetry: four moments of the version that ended a payment, and nothing on the way of the payment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from payments import deliveries
from payments.amendments import amend
from payments.models import Callback, Delivery, Reason, Source, Status, Transaction
from payments.tests.conftest import raising
from payments.transitions import transition
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db
Channel = Delivery.Channel


@pytest.fixture(autouse=True)
def _no_notes_of_other_tests() -> Iterator[None]:
    yield
    deliveries._notes.clear()
    deliveries._known.clear()


@pytest.fixture
def committing(django_capture_on_commit_callbacks: Any) -> Callable[[], Any]:
    """Run what waits for a commit, which a test's own transaction never reaches."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def _fail(payment: Transaction) -> None:
    assert transition(payment.pk, Status.FAILED, source=Source.CALLBACK, reason=Reason.NO_RESPONSE)


def _complete(payment: Transaction, **fields: Any) -> None:
    assert transition(payment.pk, Status.COMPLETED, source=Source.QUERY, **fields)


def test_the_four_moments_come_in_their_order(post_callback: Callable[..., Any], committing: Any) -> None:
    payment = make_transaction()
    with committing():
        post_callback(payment)
    deliveries.note_sent(payment.pk, payment.version, Channel.SOCKET, watched=True)
    deliveries.note_seen(payment.pk, payment.version)
    assert deliveries.flush() == 1
    row = Delivery.objects.get()
    assert (row.pk, row.version, row.channel, row.watched) == (payment.pk, payment.version, "socket", True)
    assert row.received_at == Callback.objects.get().received_at
    moments = [row.received_at, row.committed_at, row.sent_at, row.painted_at]
    assert moments == sorted(moments, key=lambda moment: moment or datetime.min.replace(tzinfo=UTC))


def test_a_callback_is_answered_before_anything_is_written(post_callback: Callable[..., Any], committing: Any) -> None:
    with committing():
        post_callback(make_transaction())
    assert not Delivery.objects.exists()
    assert deliveries.flush() == 1


def test_an_end_that_nobody_called_back_about_has_no_such_moment(committing: Any) -> None:
    with committing():
        _complete(make_transaction())
    deliveries.flush()
    row = Delivery.objects.get()
    assert (row.received_at, row.sent_at, row.painted_at, row.channel) == (None, None, None, "")


def test_a_payment_that_waits_has_no_delivery() -> None:
    payment = make_transaction()
    deliveries.note_sent(payment.pk, 1, Channel.POLL, watched=False)
    assert deliveries.flush() == 0
    assert not Delivery.objects.exists()


def test_the_first_of_each_moment_is_kept() -> None:
    payment = make_transaction()
    _complete(payment)
    deliveries.note_sent(payment.pk, 2, Channel.POLL, watched=True)
    deliveries.flush()
    first = Delivery.objects.get().sent_at
    deliveries._known.clear()  # as in another process
    deliveries.note_sent(payment.pk, 2, Channel.SOCKET, watched=False)
    deliveries.flush()
    row = Delivery.objects.get()
    assert (row.sent_at, row.channel, row.watched) == (first, "poll", True)


def test_an_earlier_moment_that_is_written_later_wins() -> None:
    payment = make_transaction()
    _complete(payment)
    deliveries.note_sent(payment.pk, 2, Channel.POLL, watched=False)
    deliveries.flush()
    earlier = timezone.now() - timedelta(seconds=5)
    deliveries._notes.append(deliveries.Note("sent_at", payment.pk, 2, Channel.SOCKET, True, earlier))
    deliveries.flush()
    assert (Delivery.objects.get().sent_at, Delivery.objects.get().channel) == (earlier, "socket")


def test_what_an_older_page_shows_is_no_delivery_of_the_end() -> None:
    payment = make_transaction()
    deliveries.note_seen(payment.pk, 1)
    _complete(payment)
    deliveries.flush()
    assert Delivery.objects.get().painted_at is None


def test_a_success_after_a_failure_begins_anew() -> None:
    payment = make_transaction()
    _fail(payment)
    deliveries.note_seen(payment.pk, 2)
    deliveries.note_sent(payment.pk, 2, Channel.SOCKET, watched=True)
    deliveries.flush()
    assert Delivery.objects.get().painted_at
    _complete(payment)
    deliveries.note_sent(payment.pk, 3, Channel.POLL, watched=True)
    deliveries.flush()
    row = Delivery.objects.get()
    assert (row.version, row.painted_at, row.channel) == (3, None, "poll")


def test_a_receipt_that_comes_later_changes_no_moment() -> None:
    payment = make_transaction()
    _complete(payment)
    deliveries.note_seen(payment.pk, 2)
    deliveries.flush()
    painted_at = Delivery.objects.get().painted_at
    amend(payment.pk, source=Source.CALLBACK, mpesa_receipt_number="SFF6XYZ123")
    deliveries.note_seen(payment.pk, 3)
    deliveries.flush()
    assert (Delivery.objects.get().version, Delivery.objects.get().painted_at) == (2, painted_at)


def test_who_polls_on_is_noted_once() -> None:
    payment = make_transaction()
    _complete(payment)
    for _poll in range(5):
        deliveries.note_sent(payment.pk, 2, Channel.POLL, watched=False)
    assert deliveries.flush() == 1
    deliveries.note_sent(payment.pk, 2, Channel.POLL, watched=False)
    assert deliveries.flush() == 0


def test_notes_wait_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_transaction()
    _complete(payment)
    deliveries.note_seen(payment.pk, 2)
    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "_write", raising(DatabaseError("away")))
        with pytest.raises(DatabaseError):
            deliveries.flush()
    assert deliveries.flush() == 1
    assert Delivery.objects.get().painted_at


@pytest.mark.parametrize(("query", "watched", "painted"), [
    ("", False, False), ("&since=1", True, False), ("&seen=1", True, False), ("&seen=2", False, True),
    ("&seen=99", True, False), ("&seen=x", True, False),
])  # fmt: skip
def test_a_poll_tells_what_its_page_shows(client: Any, query: str, watched: bool, painted: bool) -> None:
    payment = make_transaction()
    _complete(payment)
    assert client.get(f"/payments/status/?transaction_id={payment.pk}{query}").status_code == 200
    deliveries.flush()
    row = Delivery.objects.get()
    assert (row.channel, row.watched, row.painted_at is not None) == ("poll", watched, painted)


def test_a_page_without_a_script_counts_as_sent(client: Any) -> None:
    payment = make_transaction()
    client.get(f"/payments/{payment.pk}/")
    _complete(payment)
    client.get(f"/payments/{payment.pk}/")
    deliveries.flush()
    assert Delivery.objects.get().channel == "page"
