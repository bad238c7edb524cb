"""What the page shows: the state a customer is in, and no control that the server would refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.documents import facts
from payments.models import Reason, Source, Status, Transaction
from payments.screen import screen, stopped
from payments.templatetags.words import whole
from shop.models import Order
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db


def _aged(seconds: float, *, prompted: bool = True) -> Transaction:
    moment = timezone.now() - timedelta(seconds=seconds)
    payment = make_transaction(prompted_at=moment if prompted else None)
    Transaction.objects.filter(pk=payment.pk).update(created_at=moment)
    payment.refresh_from_db()
    return payment


def _failed(reason: Reason, code: str = "", **fields: Any) -> Transaction:
    fields = {"failed_at": timezone.now(), "failed_by": Source.CALLBACK, **fields}
    return make_transaction(status=Status.FAILED, reason=reason, result_code=code, **fields)


def _shown(payment: Transaction) -> dict[str, Any]:
    return screen(facts(payment))


@pytest.mark.parametrize(
    ("seconds", "prompted", "state", "turns_in"),
    [
        (0, False, "sending", 10),
        (9, False, "sending", 1),
        (10, False, "checking", 110),
        (0, True, "waiting", None),
        (59, True, "waiting", None),
        (60, True, "checking", 60),
        (119, True, "checking", 1),
        (121, True, "unheard", None),
    ],
)
def test_time_alone_leads_from_sending_to_unheard(seconds: float, prompted: bool, state: str, turns_in: int) -> None:
    shown = _shown(_aged(seconds, prompted=prompted))
    assert (shown["state"], shown["turns_in"]) == (state, turns_in)


@pytest.mark.parametrize("prompted", [True, False])
def test_only_a_prompt_that_daraja_took_is_said_to_be_on_the_phone(client: Any, prompted: bool) -> None:
    page = client.get(f"/payments/{_aged(70, prompted=prompted).pk}/").text
    assert ("Prompt shown on your phone" in page) is prompted
    assert "Waiting for M-PESA" in page


def test_a_prompt_is_late_after_fifteen_seconds() -> None:
    assert [_shown(_aged(seconds))["is_slow"] for seconds in (0, 14, 15, 30)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("reason", "code", "pause"),
    [
        (Reason.CANCELLED, "1032", None),
        (Reason.NO_RESPONSE, "1037", None),
        (Reason.BUSY, "26", 60),
        (Reason.BUSY, "1001", 60),
        (Reason.BUSY, "500.001.1001", 60),
        (Reason.LIMIT, "17", 120),
        (Reason.LIMIT, "2", None),
        (Reason.NOT_SENT, "1025", None),
    ],
)
def test_each_code_has_its_own_pause(reason: Reason, code: str, pause: int | None) -> None:
    shown = _shown(_failed(reason, code))
    assert (shown["retry_after"], shown["can_retry"]) == (pause, pause is None)


def test_another_number_is_offered_while_this_one_must_wait() -> None:
    assert _shown(_failed(Reason.LIMIT, "17"))["can_use_other_number"] is True


def test_no_number_is_offered_while_another_attempt_is_open() -> None:
    order = make_order()
    failed = _failed(Reason.LIMIT, "17", order=order)
    make_transaction(order=order)
    assert _shown(failed)["can_use_other_number"] is False


def test_a_closed_order_offers_nothing() -> None:
    failed = _failed(Reason.WRONG_PIN, "2001", order=make_order(status=Order.Status.CANCELLED))
    shown = _shown(failed)
    assert (shown["can_retry"], shown["retry_after"], shown["can_use_other_number"]) == (False, None, False)
    assert shown["message"].endswith("The order was cancelled.")


def test_started_on_the_order_is_said_only_of_a_paid_one() -> None:
    cancelled = make_order(status=Order.Status.CANCELLED, amount_paid=1500)
    late = make_transaction(status=Status.COMPLETED, completed_at=timezone.now(), order=cancelled)
    assert "has started" not in _shown(late)["message"]
    paid = make_order(status=Order.Status.PAID, amount_paid=1500)
    assert "has started" in _shown(make_transaction(status=Status.COMPLETED, order=paid))["message"]


def test_only_an_open_payment_can_be_left() -> None:
    assert stopped(_shown(make_transaction()))["state"] == "stopped"
    failed = _shown(_failed(Reason.CANCELLED, "1032"))
    assert stopped(failed) == failed


def test_m_pesa_is_never_broken_and_nothing_else_becomes_markup() -> None:
    assert whole("<b>M-PESA</b>") == "&lt;b&gt;<span>M-PESA</span>&lt;/b&gt;"
