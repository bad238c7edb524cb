"""Callbacks of people who are not Daraja. The customer is the likeliest of them: none may change anything."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from django.test import Client

from payments import inbox
from payments.callback_token import make_callback_token, read_callback_token
from payments.models import Callback, Transaction
from payments.tests.conftest import callback_body
from shop.models import Order
from tests.abuse.forgeries import NO_TOKEN, forgery, is_hint, path_of
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db

PAYMENTS = 20
SEED = 20_251_125


@pytest.fixture
def payments() -> list[Transaction]:
    product = make_product()
    return [make_transaction(order=make_order(product=product)) for _ in range(PAYMENTS)]


def _state() -> list[Any]:
    """Return everything that a forger would like to change; a hint may only move the next question to Daraja."""
    hidden = {"check_after", "hinted_at"}
    fields = [field.attname for field in Transaction._meta.concrete_fields if field.attname not in hidden]
    return [*Transaction.objects.order_by("pk").values(*fields), *Order.objects.order_by("pk").values()]


def _forge(client: Client, payments: list[Transaction], number: int, dice: random.Random) -> int:
    """Send forgery `number`; the body is the true one, as a customer who reads the documentation can write it."""
    mine, other = dice.sample(payments, 2)
    path, claims = forgery(number, mine, other, dice)
    code = dice.choice([0, 0, 0, "0", 1032])
    body = callback_body(mine, code=code)
    return int(client.post(path, body, content_type="application/json", **claims).status_code)


@pytest.mark.parametrize("forgeries", [1_100, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_forged_callback_is_accepted(
    payments: list[Transaction], client: Client, forgeries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before, dice = _state(), random.Random(SEED)
    began = time.process_time()
    answers = [_forge(client, payments, number, dice) for number in range(forgeries)]
    seconds = time.process_time() - began
    assert set(answers) == {200, 404}
    assert answers.count(200) == sum(is_hint(number) for number in range(forgeries))
    assert _state() == before
    assert not Callback.objects.filter(trusted=True).exists()
    assert Callback.objects.count() <= PAYMENTS * inbox.HINTS_PER_CHECKOUT
    _tell(capsys, payments[0], forgeries, seconds)


def _tell(capsys: pytest.CaptureFixture[str], payment: Transaction, forgeries: int, seconds: float) -> None:
    token, rounds = f"{payment.pk.hex}.{'0' * 32}", 10_000
    began = time.process_time()
    assert not any(read_callback_token(token) for _round in range(rounds))
    each = (time.process_time() - began) / rounds
    with capsys.disabled():
        print(
            f"\n{forgeries} forgeries, 0 accepted: {seconds / forgeries * 1e6:.0f} µs of CPU each through the whole "
            f"stack and its test client; the refusal of a wrong token itself takes {each * 1e6:.1f} µs"
        )


def test_the_body_of_one_payment_with_the_token_of_another_pays_neither(
    payments: list[Transaction], client: Client
) -> None:
    """Nobody outside knows a token; if one got out, it would still be good for its own payment alone."""
    mine, other = payments[:2]
    answer = client.post(path_of(make_callback_token(other.pk)), callback_body(mine), content_type="application/json")
    assert answer.status_code == 200
    assert set(Transaction.objects.values_list("status", flat=True)) == {"PENDING"}
    assert other.discrepancies.get().kind == "ids_differ"
    assert not mine.discrepancies.exists()


def test_a_true_body_that_is_replayed_completes_nothing_twice(payments: list[Transaction], client: Client) -> None:
    paid = payments[0]
    path, body = path_of(make_callback_token(paid.pk)), callback_body(paid)
    client.post(path, body, content_type="application/json")
    before = _state()
    for replay in (path, NO_TOKEN, path_of(make_callback_token(payments[1].pk))):
        client.post(replay, body, content_type="application/json")
    after = _state()
    changed = [now for then, now in zip(before, after, strict=True) if then != now]
    assert [row["id"] for row in changed] == [payments[1].pk]  # whose token it came with: it is blocked, not paid
    assert (changed[0]["status"], changed[0]["under_review"]) == ("PENDING", True)
