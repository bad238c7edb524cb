"""One statement locks the order and then the payment: who waits for the first holds nothing that others need.

On SQLite nobody holds rows: whoever comes second waits before its first statement, until the first one's commit.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.db.models import Model
from django.db.transaction import atomic

from payments import prompted
from payments.daraja.client import PushAccepted
from payments.models import Transaction
from payments.transitions import lock
from shop.models import Order
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db(transaction=True)
HAS_ROW_LOCKS = connection.vendor == "postgresql"


def _start_locking(payment: Transaction) -> Future[None]:
    """Have another connection lock the payment, and return once it waits for what we hold."""

    def work() -> None:
        try:
            with atomic():
                lock(payment.pk)
        finally:
            connections.close_all()

    other = ThreadPoolExecutor(1).submit(work)
    assert not HAS_ROW_LOCKS or any(_somebody_waits() for _ in range(2_000))
    return other


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.005), count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[1])


def _is_free(model: type[Model], key: object) -> bool:
    try:
        with atomic():
            model._default_manager.select_for_update(nowait=True).get(pk=key)
    except DatabaseError:
        return False
    return True


def test_who_waits_for_the_order_holds_no_payment() -> None:
    payment = make_transaction()
    with atomic():
        Order.objects.select_for_update().get(pk=payment.order_id)
        other = _start_locking(payment)
        payment_is_free = _is_free(Transaction, payment.pk)
    other.result(20)
    assert payment_is_free


def test_who_waits_for_the_payment_holds_the_order() -> None:
    payment = make_transaction()
    with atomic():
        Transaction.objects.select_for_update().get(pk=payment.pk)
        other = _start_locking(payment)
        order_is_free = _is_free(Order, payment.order_id)
    other.result(20)
    assert order_is_free != HAS_ROW_LOCKS


def test_a_callback_and_the_answer_to_the_push_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer's ids are written while a callback holds the order and waits for the payment."""
    payment = make_transaction(checkout_request_id=None, merchant_request_id=None)
    callbacks: list[Future[None]] = []
    true = Transaction.refresh_from_db

    def read(self: Transaction, *args: Any, **kwargs: Any) -> None:
        callbacks.append(_start_locking(payment))
        true(self, *args, **kwargs)

    monkeypatch.setattr(Transaction, "refresh_from_db", read)
    prompted.keep_ids(payment, PushAccepted("29115-1-1", "ws_CO_1"))
    callbacks[0].result(20)
    assert payment.checkout_request_id == "ws_CO_1"
