from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from jsonhttp import Problem
from shop import idempotency, views
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


def test_keys_that_never_come_again_are_forgotten_a_few_at_a_time(client: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(idempotency, "FORGOTTEN_AT_ONCE", 2)
    old, young = timezone.now() - timedelta(hours=25), timezone.now() - timedelta(hours=23)
    for number, moment in enumerate([old, old, old, young]):
        key = IdempotencyKey.objects.create(scope=f"stk-push:{number}", key=KEY, status_code=201)
        IdempotencyKey.objects.filter(pk=key.pk).update(created_at=moment)
    sku = make_product().sku
    left = []
    for number in range(3):
        _order(client, sku, key=f"{KEY}{number}")
        left.append(IdempotencyKey.objects.filter(scope__startswith="stk-push").count())
    assert left == [2, 1, 1]


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


def _silent_for(seconds: float) -> None:
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_the_second_request_hears_that_the_first_still_runs(client: Any) -> None:
    sku = make_product().sku
    _order(client, sku)
    IdempotencyKey.objects.update(status_code=None)
    assert _order(client, sku).json()["code"] == "in_progress"
    _silent_for(11)  # its process has died
    assert _order(client, sku).status_code == 201


def test_a_request_that_runs_for_long_keeps_its_key(rf: Any) -> None:
    request = rf.post("/api/orders/", headers={"Idempotency-Key": KEY})
    with idempotency.claim(request, "orders", []):
        _silent_for(11)
        idempotency.renew()
        with pytest.raises(Problem, match="in_progress"):
            idempotency.claim(request, "orders", [])
    assert not idempotency._running


def test_who_stood_still_until_another_took_the_key_places_no_second_order(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku, place_order = make_product().sku, views.place_order

    def place_slowly(items: Any) -> Order:
        order = place_order(items)
        monkeypatch.setattr(views, "place_order", place_order)
        _silent_for(11)
        idempotency._forget_old("orders", KEY)  # by who comes then
        return order

    monkeypatch.setattr(views, "place_order", place_slowly)
    assert _order(client, sku).json()["code"] == "in_progress"
    assert not Order.objects.exists()
    assert _order(client, sku).status_code == 201


def test_a_claim_that_ended_without_a_database_frees_its_key_at_the_next_try(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up, away = idempotency._give_up, [True]

    def fail_once(row: IdempotencyKey) -> None:
        if away:
            away.clear()
            raise OperationalError("the connection is lost")
        give_up(row)

    monkeypatch.setattr(idempotency, "_give_up", fail_once)
    assert _order(client, "no-such-thing").status_code == 503
    assert IdempotencyKey.objects.count() == 1
    sku = make_product(sku="no-such-thing").sku
    assert _order(client, sku).status_code == 201
    assert not idempotency._abandoned


@pytest.mark.parametrize("key", ["short", "k" * 256, "kitufe-chenye-é-ndefu-kutosha"])
def test_malformed_keys_are_refused(client: Any, key: str) -> None:
    assert _order(client, make_product().sku, key=key).status_code == 400
