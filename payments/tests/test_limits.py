from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from payments.checkout import CheckoutRefused, start_checkout
from payments.daraja import client
from payments.documents import document, facts
from payments.limits import PER_ADDRESS
from payments.models import PromptGate, Reason, Status, Transaction, UnwantedPhone
from payments.tests.conftest import FakeDaraja, raising
from tests.factories import make_order, make_transaction, new_phone_number

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("daraja")]

PHONE = "254712345678"


def _failed(count: int, *, minutes_ago: float = 1, **fields: Any) -> list[Transaction]:
    """Make payments that failed in different ways, so that only their number counts."""
    made = [
        make_transaction(**{"status": Status.FAILED, "reason": Reason.WRONG_PIN, "failed_at": timezone.now(), **fields})
        for _ in range(count)
    ]
    when = timezone.now() - timedelta(minutes=minutes_ago)
    Transaction.objects.filter(pk__in=[payment.pk for payment in made]).update(created_at=when, failed_at=when)
    return made


def _refused(order: Any = None, phone_number: str = PHONE, **who: Any) -> CheckoutRefused:
    with pytest.raises(CheckoutRefused) as caught:
        start_checkout((order or make_order(amount=99)).pk, phone_number, **who)
    return caught.value


def test_a_phone_gets_three_prompts_in_ten_minutes() -> None:
    _failed(3, phone_number=PHONE)
    refusal = _refused()
    assert (refusal.status, refusal.code) == (429, "too_often")
    assert 530 <= refusal.retry_after <= 540
    assert start_checkout(make_order().pk, new_phone_number()).is_new


def test_a_phone_gets_six_prompts_a_day() -> None:
    _failed(6, minutes_ago=60, phone_number=PHONE)
    assert _refused().retry_after > 22 * 3600


def test_an_order_gets_three_prompts_in_ten_minutes_from_whatever_phones() -> None:
    order = make_order()
    _failed(3, order=order)
    assert _refused(order).code == "too_often"


def test_a_session_gets_five_and_an_address_a_hundred(daraja: FakeDaraja) -> None:
    for who, most in (({"session_key": "s1"}, 5), ({"address": "41.0.0.9"}, 100)):
        for _ in range(most):
            start_checkout(make_order().pk, new_phone_number(), **who)
            Transaction.objects.update(created_at=timezone.now() - timedelta(seconds=2))
        assert _refused(phone_number=new_phone_number(), **who).code == "too_often"
    assert start_checkout(make_order().pk, new_phone_number(), address="41.0.0.10", session_key="s2").is_new


def test_all_together_get_so_many_a_second(settings: Any) -> None:
    settings.PUSHES_PER_SECOND = 2
    for _ in range(2):
        start_checkout(make_order().pk, new_phone_number())
    assert _refused(phone_number=new_phone_number()).retry_after == 1


def test_two_cancelled_prompts_in_a_row_bring_a_pause() -> None:
    _failed(2, minutes_ago=5, phone_number=PHONE, reason=Reason.CANCELLED)
    assert 590 <= _refused().retry_after <= 600


def test_a_phone_that_wants_no_prompts_is_told_nothing_else(daraja: FakeDaraja) -> None:
    UnwantedPhone.objects.create(phone_number=PHONE)
    unwanted = _refused()
    _failed(3, phone_number="254712345679")
    often = _refused(phone_number="254712345679")
    assert (unwanted.status, unwanted.code, unwanted.detail) == (often.status, often.code, often.detail)
    assert daraja.pushes == []


def test_staff_can_stop_every_prompt(daraja: FakeDaraja) -> None:
    PromptGate.objects.create(environment="simulator", paused=True)
    refusal = _refused()
    assert (refusal.status, refusal.code, daraja.pushes) == (429, "paused", [])


def test_the_payment_that_is_open_already_is_no_new_prompt() -> None:
    order = make_order()
    first = start_checkout(order.pk, PHONE)
    _failed(3, phone_number=PHONE)
    assert start_checkout(order.pk, PHONE).payment.pk == first.payment.pk


def test_what_never_reached_daraja_does_not_count(daraja: FakeDaraja) -> None:
    daraja.push = raising(client.DarajaUnreachable())
    for _ in range(4):
        assert _refused().code == "daraja_unreachable"


def test_the_document_says_what_the_next_push_would_hear() -> None:
    order = make_order()
    payment = _failed(3, order=order, phone_number=PHONE)[-1]
    payment.refresh_from_db()
    told = document(facts(payment))
    assert (told["can_retry"], told["retry_after"]) == (False, _refused(order).retry_after)


def test_load_runs_may_switch_the_limits_off_but_not_the_rule_of_one(settings: Any) -> None:
    settings.RATE_LIMITS = False
    _failed(6, phone_number=PHONE)
    assert start_checkout(make_order().pk, PHONE).is_new
    assert _refused().code == "phone_busy"


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_do_not_get_past_a_limit_together(daraja: FakeDaraja) -> None:
    refusals: list[str] = []

    def ask(order_id: Any, phone_number: str) -> None:
        try:
            start_checkout(order_id, phone_number, address="41.0.0.9")
        except CheckoutRefused as refusal:
            refusals.append(refusal.code)
        finally:
            connection.close()

    _asked_before(PER_ADDRESS.most - 5, address="41.0.0.9")
    threads = [threading.Thread(target=ask, args=(make_order().pk, new_phone_number())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(daraja.pushes), refusals) == (PER_ADDRESS.most, ["too_often"] * 15)


def _asked_before(count: int, *, address: str) -> None:
    for _ in range(count):
        start_checkout(make_order().pk, new_phone_number(), address=address)
        Transaction.objects.update(created_at=timezone.now() - timedelta(seconds=2))
