"""What the board counts, against payments whose story is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.models import Delivery, Reason, Source, Status, Transaction
from realtime import beats
from realtime.board import chart, figures, shared, statistics
from realtime.models import ProcessBeat
from realtime.processes import everybody
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> None:
    shared.forget_all()


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Let it be noon in the shop, so that the last hour is all of today and yesterday's is all of yesterday."""
    noon = timezone.localtime().replace(hour=12, minute=0, second=0, microsecond=0)
    monkeypatch.setattr(statistics.timezone, "now", lambda: noon)
    return noon


def paid(at: datetime, *, took: float = 10, **fields: Any) -> Transaction:
    payment = make_transaction(
        status=Status.COMPLETED, **{"settled_by": Source.CALLBACK, "completed_at": at, "check_after": None, **fields}
    )
    begun = at - timedelta(seconds=took)
    Transaction.objects.filter(pk=payment.pk).update(created_at=begun, prompted_at=begun + timedelta(seconds=1))
    payment.refresh_from_db()
    return payment


def unpaid(at: datetime, reason: Reason, **fields: Any) -> Transaction:
    return make_transaction(
        status=Status.FAILED, **{"reason": reason, "failed_at": at, "settled_by": Source.CALLBACK, **fields}
    )


def test_today_and_the_last_hour_are_counted_apart(at_noon):
    paid(at_noon - timedelta(minutes=5))
    paid(at_noon - timedelta(minutes=59), settled_by=Source.QUERY, late=True)
    paid(at_noon - timedelta(hours=3))
    paid(at_noon - timedelta(hours=13))  # yesterday
    unpaid(at_noon - timedelta(minutes=1), Reason.CANCELLED)
    unpaid(at_noon - timedelta(hours=2), Reason.EXPIRED)
    make_transaction()
    now = statistics.count_now()
    assert (now.today.amount, now.today.completed, now.today.failed, now.pending) == (4500, 3, 2, 1)
    assert (now.hour.amount, now.hour.completed, now.hour.failed) == (3000, 2, 1)
    assert now.hour.sources == {Source.CALLBACK: 1, Source.QUERY: 1}
    assert (now.hour.late, now.hour.success_rate) == (1, 67)
    assert now.today.reasons == {Reason.CANCELLED: 1, Reason.EXPIRED: 1}


def test_just_after_midnight_the_last_hour_reaches_into_yesterday(monkeypatch):
    early = timezone.localtime().replace(hour=0, minute=20, second=0, microsecond=0)
    monkeypatch.setattr(statistics.timezone, "now", lambda: early)
    paid(early - timedelta(minutes=10))
    paid(early - timedelta(minutes=30))
    now = statistics.count_now()
    assert (now.today.completed, now.hour.completed) == (1, 2)


def test_yesterday_is_counted_up_to_this_time_of_day(at_noon):
    paid(at_noon - timedelta(days=1, minutes=10))
    paid(at_noon - timedelta(days=1, hours=5))
    paid(at_noon - timedelta(days=1) + timedelta(minutes=1))
    day, hour = statistics.count_yesterday()
    assert (day.completed, hour.completed) == (2, 1)


def test_another_environments_payments_count_nowhere(at_noon):
    paid(at_noon - timedelta(minutes=5), environment="production")
    make_transaction(environment="production")
    now = statistics.count_now()
    assert (now.today.completed, now.pending, now.oldest) == (0, 0, None)


def test_a_payment_that_was_shown_as_failed_and_paid_late_counts_once(at_noon):
    paid(at_noon - timedelta(minutes=1), failed_at=at_noon - timedelta(minutes=9), late=True)
    now = statistics.count_now()
    assert (now.today.completed, now.today.failed) == (1, 0)


def test_every_minute_of_the_last_sixty_has_its_bar(at_noon):
    paid(at_noon - timedelta(minutes=1, seconds=-10))
    unpaid(at_noon - timedelta(minutes=1, seconds=-20), Reason.CANCELLED)
    minutes = statistics.count_minutes()
    assert len(minutes) == 60
    assert minutes[-1].begins == at_noon
    assert [(m.completed, m.failed) for m in minutes if m.completed or m.failed] == [(1, 1)]
    drawn = chart.bars(minutes)
    assert [(bar.kind, bar.y, bar.height) for bar in drawn] == [("ok", 48.0, 48.0), ("stop", 0.0, 48.0)]
    assert chart.bars([]) == []


def test_the_time_to_confirm_falls_into_its_parts(at_noon):
    for seconds in (10, 20, 40):
        payment = paid(at_noon - timedelta(minutes=1), took=seconds)
        received = payment.completed_at
        Delivery.objects.create(
            transaction=payment,
            version=2,
            received_at=received,
            committed_at=received,
            painted_at=received + timedelta(milliseconds=30) if seconds < 40 else at_noon,
            watched=seconds < 40,  # the last page was opened when all was over
        )
    paid(at_noon - timedelta(minutes=2), took=15)
    times = statistics.count_times()
    assert (times.in_all.count, times.in_all.p50, times.in_all.p99) == (4, 20.0, 40.0)
    assert (times.daraja.p50, times.customer.p95) == (1.0, 39.0)
    assert times.painted.pair == "30 / 30 ms"
    assert times.seen_share == 75


@pytest.mark.parametrize(("values", "expected"), [([], None), ([3.0], 3.0), ([1.0, 2.0], 2.0), ([-0.5], 0.0)])
def test_a_percentile_is_a_value_that_occurs(values, expected):
    assert statistics.percentiles(values).p50 == expected


def test_the_count_takes_three_queries_however_many_payments_there_are(at_noon, django_assert_num_queries):
    for _ in range(5):
        paid(at_noon - timedelta(minutes=5))
    with django_assert_num_queries(3):
        statistics.count_now()


def test_a_shared_value_is_computed_once():
    computed = []
    value = shared.Shared(lambda: computed.append(1) or len(computed), seconds=60)
    assert [value.get(), value.get()] == [1, 1]
    value.forget()
    assert value.get() == 2


def test_processes_are_summed_and_silent_ones_are_not():
    beats.beat()
    now = timezone.now()
    ProcessBeat.objects.create(name="other", started_at=now, beat_at=now - timedelta(seconds=4), sockets=7, pollers=2)
    ProcessBeat.objects.create(name="gone", started_at=now, beat_at=now - timedelta(minutes=1), sockets=99)
    ProcessBeat.objects.create(name="long gone", started_at=now, beat_at=now - timedelta(hours=2), sockets=99)
    found = everybody()
    assert (found.count, found.sockets, found.pollers, found.deaf) == (2, 7, 2, 0)
    assert 4 <= found.age < 15
    beats.beat(layer_answers=False)
    assert everybody().deaf == 1
    assert not ProcessBeat.objects.filter(name="long gone").exists()
    beats.forget()
    assert everybody().count == 1


def test_figures_of_an_empty_shop_divide_by_nothing():
    shown = figures.figures()
    assert (shown["amount_change"], shown["cancelled"], shown["findings"]) == (None, None, [])
