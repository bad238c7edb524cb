from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from shop.models import Product
from shop.orders import place_order


@pytest.fixture
def tea(db):
    return Product.objects.create(sku="tea", name="Tea", price=160)


@pytest.fixture
def lamp(db):
    return Product.objects.create(sku="lamp", name="Lamp", price=2_950)


@pytest.fixture
def order(tea):
    return place_order([("tea", 2)], customer_name="Wanjiku", customer_email="wanjiku@example.com")


@pytest.fixture
def begin_payment(settings):
    """Write the row of a payment through the order's reverse relation: the shop does not know the app behind it."""

    def begin(order, status="PENDING", **fields):
        return order.transactions.create(
            environment=settings.MPESA_ENVIRONMENT,
            business_short_code="174379",
            phone_number="254712345678",
            amount=order.amount,
            account_reference=uuid.uuid4().hex[:12],
            expires_at=timezone.now() + timedelta(minutes=3),
            status=status,
            **{"reason": "cancelled" if status == "FAILED" else "", **fields},
        )

    return begin


@pytest.fixture
def at_once(transactional_db):
    """Run callables in threads that start together, each with a connection of its own; return what they return."""

    def run(*jobs):
        barrier, results = threading.Barrier(len(jobs)), [None] * len(jobs)

        def work(index, job):
            barrier.wait()
            try:
                results[index] = job()
            except Exception as error:
                results[index] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
