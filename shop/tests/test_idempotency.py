from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from shop.models import Order
from shop.request_models import IdempotencyKey
from tests.factories import make_product

pytestmark = pytest.mark.django_db

KEY = "k" * 16


def _order(client: Any, sku: str, quantity: int = 1, key: str = KEY) -> Any:
    body = {"items": [{"sku": sku, "quantity": quantity}]}
    return client.post("/api/orders/", body, content_type="application/json", headers={"Idempotency-Key": key})


def test_a_repetition_answers_the_same_order_and_places_no_other(client: Any) -> None:
    sku = make_product().sku
    first, second = _order(client, sku), _order(client, sku)
    assert (first.status_code, second.status_code, Order.objects.count()) == (201, 201, 1)
    assert first.json() == second.json()


def test_another_body_is_refused(client: Any) -> None:
    sku = make_product().sku
    _order(client, sku)
    response = _order(client, sku, quantity=2)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")


def test_a_refused_order_frees_its_key(client: Any) -> None:
    assert _order(client, "no-such-thing").status_code == 400
    assert _order(client, make_product().sku).status_code == 201


def test_a_key_is_kept_for_a_day(client: Any) -> None:
    sku = make_product().sku
    _order(client, sku)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    _order(client, sku)
    assert Order.objects.count() == 2


def test_the_second_request_hears_that_the_first_still_runs(client: Any) -> None:
    sku = make_product().sku
    _order(client, sku)
    IdempotencyKey.objects.update(status_code=None)
    assert _order(client, sku).json()["code"] == "in_progress"
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert _order(client, sku).status_code == 201


@pytest.mark.parametrize("key", ["short", "k" * 256, "kitufe-chenye-é-ndefu-kutosha"])
def test_malformed_keys_are_refused(client: Any, key: str) -> None:
    assert _order(client, make_product().sku, key=key).status_code == 400
