"""Callbacks of people who are not Daraja. The customer is the likeliest of them: none may change anything."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from payments import inbox
from payments.callback_token import make_callback_token, read_callback_token
from payments.models import Callback, Transaction
from payments.tests.conftest import callback_body
from shop.models import Order
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db

SAFARICOM = "196.201.214.200"
PAYMENTS = 20
SEED = 20_251_125
NO_TOKEN = "/mpesa/stk_push_callback/"

Forgery = Callable[[Transaction, Transaction, random.Random], tuple[str, dict[str, str]]]


def _path(token: str) -> str:
    return f"/payments/callback/{token}/"


def _truncated(token: str, dice: random.Random) -> str:
    return token[: dice.randrange(1, len(token))]


def _one_digit_off(token: str, dice: random.Random) -> str:
    at = dice.choice([place for place, sign in enumerate(token) if sign != "."])
    return token[:at] + ("0" if token[at] != "0" else "1") + token[at + 1 :]


def _guess(mine: Transaction, dice: random.Random) -> str:
    return f"{mine.pk.hex}.{dice.randbytes(16).hex()}"


def _mixed(mine: Transaction, other: Transaction) -> str:
    """Return the id of one payment with the MAC of another, which the forger may have paid."""
    return f"{mine.pk.hex}.{make_callback_token(other.pk).partition('.')[2]}"


# What a forger tries for `mine`; `other` is a payment of the forger's own. The path, and what the request claims.
FORGERIES: dict[str, Forgery] = {
    "no token": lambda _mine, _other, _dice: (NO_TOKEN, {}),
    "the id as the token": lambda mine, _other, _dice: (_path(str(mine.pk)), {}),
    "an empty MAC": lambda mine, _other, _dice: (_path(f"{mine.pk.hex}."), {}),
    "the MAC of another payment": lambda mine, other, _dice: (_path(_mixed(mine, other)), {}),
    "truncated": lambda mine, _other, dice: (_path(_truncated(make_callback_token(mine.pk), dice)), {}),
    "another case": lambda mine, _other, _dice: (_path(make_callback_token(mine.pk).upper()), {}),
    "one digit off": lambda mine, _other, dice: (_path(_one_digit_off(make_callback_token(mine.pk), dice)), {}),
    "a guess": lambda mine, _other, dice: (_path(_guess(mine, dice)), {}),
    "a guess on the seed's path": lambda mine, _other, dice: (f"{NO_TOKEN}{_guess(mine, dice)}/", {}),
    "the address of Safaricom in front": lambda _mine, _other, _dice: (
        NO_TOKEN,
        {"HTTP_X_FORWARDED_FOR": f"{SAFARICOM}, 41.90.0.1", "HTTP_X_REAL_IP": SAFARICOM},
    ),
    "the address of Safaricom behind": lambda _mine, _other, _dice: (
        NO_TOKEN,
        {"HTTP_X_FORWARDED_FOR": f"41.90.0.1, ::ffff:{SAFARICOM}", "HTTP_FORWARDED": f"for={SAFARICOM}"},
    ),
}  # fmt: skip


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
    path, claims = list(FORGERIES.values())[number % len(FORGERIES)](mine, other, dice)
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
    assert answers.count(200) == sum(_is_hint(number) for number in range(forgeries))
    assert _state() == before
    assert not Callback.objects.filter(trusted=True).exists()
    assert Callback.objects.count() <= PAYMENTS * inbox.HINTS_PER_CHECKOUT
    _tell(capsys, payments[0], forgeries, seconds)


def _is_hint(number: int) -> bool:
    """Return whether the forgery goes to the seed's path, which answers every stranger alike."""
    return "seed" in (name := list(FORGERIES)[number % len(FORGERIES)]) or name == "no token" or "Safaricom" in name


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
    answer = client.post(_path(make_callback_token(other.pk)), callback_body(mine), content_type="application/json")
    assert answer.status_code == 200
    assert set(Transaction.objects.values_list("status", flat=True)) == {"PENDING"}
    assert other.discrepancies.get().kind == "ids_differ"
    assert not mine.discrepancies.exists()


def test_a_true_body_that_is_replayed_completes_nothing_twice(payments: list[Transaction], client: Client) -> None:
    paid = payments[0]
    path, body = _path(make_callback_token(paid.pk)), callback_body(paid)
    client.post(path, body, content_type="application/json")
    before = _state()
    for replay in (path, NO_TOKEN, _path(make_callback_token(payments[1].pk))):
        client.post(replay, body, content_type="application/json")
    after = _state()
    changed = [now for then, now in zip(before, after, strict=True) if then != now]
    assert [row["id"] for row in changed] == [payments[1].pk]  # whose token it came with: it is blocked, not paid
    assert (changed[0]["status"], changed[0]["under_review"]) == ("PENDING", True)
