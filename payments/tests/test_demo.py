from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Count
from django.utils import timezone

from payments.demo.history import PAYMENTS, seed_history
from payments.models import Delivery, Discrepancy, Status, Transaction, TransactionEvent
from payments.signals import transaction_changed
from shop.demo import seed_catalogue
from shop.models import Order
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(django_user_model: Any) -> int:
    seed_catalogue()
    return seed_history(django_user_model.objects.create_user("staff"))


def test_yesterday_has_everything_that_a_board_shows(history: int) -> None:
    assert history > PAYMENTS
    by_status = dict(Transaction.objects.order_by().values_list("status").annotate(Count("pk")))
    assert by_status[Status.COMPLETED] > by_status[Status.FAILED] > 10
    assert Status.PENDING not in by_status
    reasons = set(Transaction.objects.values_list("reason", flat=True))
    assert {"cancelled", "no_response", "expired", "under_review"} <= reasons
    assert {"callback", "query", "expiry"} <= set(Transaction.objects.values_list("settled_by", flat=True))
    kinds = set(Discrepancy.objects.filter(resolved_at=None).values_list("kind", flat=True))
    assert {"surplus", "amount_differs"} <= kinds
    assert Delivery.objects.filter(watched=True).count() > Delivery.objects.filter(watched=False).count() > 0
    assert Order.objects.filter(status="PAID", fulfilment="to_pack").exists()


def test_all_of_it_is_over_marked_and_nobody_is_asked_about_it(history: int) -> None:
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    payments = Transaction.objects.all()
    assert all(payment.is_made_up for payment in payments)
    assert not payments.filter(created_at__gt=today).exists()
    assert not payments.filter(completed_at__gt=today).exists()
    assert not payments.exclude(check_after=None).exists()
    assert not TransactionEvent.objects.filter(created_at__gt=today).exists()
    assert not Order.objects.filter(paid_at__gt=today).exists()


def test_the_history_begins_before_it_ends(history: int) -> None:
    for payment in Transaction.objects.prefetch_related("events"):
        moments = [payment.created_at, *(event.created_at for event in payment.events.all() if not event.by_id)]
        assert moments == sorted(moments), payment.pk


def test_nobody_is_told_of_the_past(django_user_model: Any, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[Any] = []

    def listen(*args: Any, **kwargs: Any) -> None:
        heard.append(kwargs)

    transaction_changed.connect(listen)
    seed_catalogue()
    with django_capture_on_commit_callbacks(execute=True):
        assert seed_history()
    transaction_changed.disconnect(listen)
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_the_log_keeps_to_what_happens_today(caplog: pytest.LogCaptureFixture) -> None:
    seed_catalogue()
    assert seed_history()
    assert caplog.records == []


def test_it_is_made_once_and_never_where_there_are_payments() -> None:
    seed_catalogue()
    make_transaction()
    assert seed_history() == 0


def test_where_money_is_real_nothing_is_made_up(settings: Any) -> None:
    seed_catalogue()
    settings.SIMULATOR = False
    assert seed_history() == 0
    assert not Transaction.objects.exists()


def test_no_real_reference_looks_made_up(daraja: Any) -> None:
    from payments.checkout import start_checkout
    from tests.factories import make_order

    assert not start_checkout(make_order().pk, "254712000777").payment.is_made_up
