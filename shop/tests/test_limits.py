from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from shop import limits
from shop.limits import Limit, TooOften, address_digest, count
from shop.models import Order
from shop.request_models import RateCount

pytestmark = pytest.mark.django_db

THREE = Limit(3, timedelta(minutes=10))
BODY = json.dumps({"items": [{"sku": "tea", "quantity": 1}]})


def place(address="196.201.214.200", **headers):
    client = Client(REMOTE_ADDR=address)
    return client.post("/api/orders/", BODY, content_type="application/json", headers=headers)


def age_by(seconds):
    """Have everything that was counted happen so many seconds earlier."""
    for row in RateCount.objects.all():
        row.moments = [moment - seconds for moment in row.moments]
        row.forget_after -= timedelta(seconds=seconds)
        row.save()


def test_the_fourth_of_three_waits_until_the_first_is_old():
    for _time in range(3):
        count("test", "somebody", THREE)
    age_by(100)
    with pytest.raises(TooOften) as refusal:
        count("test", "somebody", THREE)
    assert refusal.value.retry_after == 500
    age_by(500)
    count("test", "somebody", THREE)


def test_others_and_other_things_are_counted_apart():
    for _time in range(3):
        count("test", "somebody", THREE)
    count("test", "somebody else", THREE)
    count("another test", "somebody", THREE)


def test_a_refusal_is_not_counted():
    for _time in range(3):
        count("test", "somebody", THREE)
    for _time in range(5):
        with pytest.raises(TooOften):
            count("test", "somebody", THREE)
    assert len(RateCount.objects.get().moments) == 3


def test_old_counts_are_forgotten_when_a_new_one_begins():
    count("test", "somebody", THREE)
    age_by(601)
    count("test", "somebody else", THREE)
    assert [row.key for row in RateCount.objects.all()] == ["test.somebody else"]


def test_twenty_at_once_count_three(at_once):
    outcomes = at_once(*[lambda: count("test", "somebody", THREE)] * 20)
    assert outcomes.count(None) == 3
    assert sum(isinstance(outcome, TooOften) for outcome in outcomes) == 17


def test_ipv6_counts_by_the_network_of_one_customer():
    assert address_digest("2c0f:fe38:2100:1::1") == address_digest("2c0f:fe38:2100:1:ffff::9")
    assert address_digest("2c0f:fe38:2100:1::1") != address_digest("2c0f:fe38:2100:2::1")
    assert address_digest("::ffff:41.90.1.2") == address_digest("41.90.1.2") != address_digest("41.90.1.3")
    assert address_digest("fe80::1%eth0") == address_digest("fe80::1")
    assert address_digest("") == ""


def test_no_address_is_stored():
    count("test", address_digest("41.90.1.2"), THREE)
    assert "41.90" not in str(list(RateCount.objects.values()))


def test_two_hundred_orders_per_address_in_ten_minutes(tea, monkeypatch):
    assert Limit(200, timedelta(minutes=10)) == limits.ORDERS_PER_ADDRESS
    monkeypatch.setattr(limits, "ORDERS_PER_ADDRESS", THREE)
    assert [place().status_code for _time in range(4)] == [201, 201, 201, 429]
    refused = place()
    assert 590 <= int(refused["Retry-After"]) <= 600
    assert (refused.json()["code"], refused["Content-Type"]) == ("too_often", "application/problem+json")
    assert place(address="196.201.214.201").status_code == 201
    assert Order.objects.count() == 4


def test_a_replay_of_an_order_is_not_counted(tea, monkeypatch):
    monkeypatch.setattr(limits, "ORDERS_PER_ADDRESS", Limit(1, timedelta(minutes=10)))
    key = {"Idempotency-Key": "k" * 16}
    assert [place(**key).status_code for _time in range(3)] == [201, 201, 201]


def test_what_became_no_order_is_not_counted(tea, monkeypatch):
    monkeypatch.setattr(limits, "ORDERS_PER_ADDRESS", Limit(1, timedelta(minutes=10)))
    tea.is_active = False
    tea.save()
    assert place().status_code == 400
    tea.is_active = True
    tea.save()
    assert place().status_code == 201


def test_orders_of_pages_and_programs_count_together(client, tea, monkeypatch):
    monkeypatch.setattr(limits, "ORDERS_PER_ADDRESS", Limit(1, timedelta(minutes=10)))
    assert place(address="127.0.0.1").status_code == 201
    client.post("/cart/add/", {"sku": "tea"})
    refused = client.post("/checkout/", {})
    assert (refused.status_code, refused["Retry-After"]) == (429, "600")
    assert limits.calm_words() in refused.text
    assert Order.objects.count() == 1


def test_whoever_guesses_orders_is_slowed_down(client, order, monkeypatch):
    assert Limit(200, timedelta(minutes=1)) == limits.UNKNOWN_IDS_PER_ADDRESS
    monkeypatch.setattr(limits, "UNKNOWN_IDS_PER_ADDRESS", Limit(2, timedelta(minutes=1)))
    assert client.get(f"/orders/{uuid.uuid4()}/").status_code == 404
    assert client.post(f"/orders/{uuid.uuid4()}/cancel/").status_code == 404
    refused = client.get(f"/orders/{uuid.uuid4()}/")
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert client.get(f"/orders/{order.pk}/").status_code == 200


def test_rate_limits_off_lifts_them(tea, settings, monkeypatch):
    settings.RATE_LIMITS = False
    monkeypatch.setattr(limits, "ORDERS_PER_ADDRESS", Limit(1, timedelta(minutes=10)))
    assert [place().status_code for _time in range(3)] == [201, 201, 201]
    assert not RateCount.objects.exists()


def test_a_row_lives_no_longer_than_its_limit():
    count("test", "somebody", THREE)
    assert RateCount.objects.get().forget_after <= timezone.now() + THREE.within
