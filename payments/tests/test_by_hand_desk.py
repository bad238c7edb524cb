"""Staff match what found no order by itself, with a reason, and only those who may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from payments.c2b import desk, rescue
from payments.models import Confirmation, ReceiptClaim, Source, Transaction
from payments.retention import anonymise_payments, purge_callbacks
from payments.tests.by_hand import announce, hear, new_receipt, pay_by_hand
from tests.factories import make_order
from tests.faults.clock import let_pass

pytestmark = pytest.mark.django_db

LIST = "admin:payments_confirmation_changelist"


@pytest.fixture
def as_tier(client: Any, django_user_model: Any) -> Any:
    def log_in(tier: str) -> Any:
        user = django_user_model.objects.create_user(tier.lower(), password="x", is_staff=True)
        user.groups.add(Group.objects.get(name=tier))
        client.force_login(user)
        return client

    return log_in


def unmatched(amount: int = 1500) -> Confirmation:
    receipt = new_receipt()
    announce("WRONG", amount, receipt=receipt)
    hear(receipt, amount)
    return Confirmation.objects.get(trans_id=receipt)


def act(client: Any, what: Confirmation | ReceiptClaim, action: str, page: str = LIST, **typed: str) -> Any:
    chosen = {"_selected_action": what.pk, "action": action, "decided": "yes", **typed}
    return client.post(reverse(page), chosen)


def test_a_supervisor_matches_money_to_an_order_and_says_why(as_tier: Any) -> None:
    order, money = make_order(), unmatched()
    client = as_tier("Supervisor")
    act(client, money, "match_to_order", account=order.number.lower(), why="The customer called")
    order.refresh_from_db()
    event = Transaction.objects.get().events.get()
    assert order.status == "PAID"
    assert (event.source, event.by.username) == (Source.STAFF, "supervisor")
    assert "The customer called" in event.note


@pytest.mark.parametrize("typed", [{"why": "because"}, {"account": "NOBODY", "why": "because"}, {"account": "x"}])
def test_without_an_order_and_a_reason_nothing_happens(as_tier: Any, typed: dict[str, str]) -> None:
    money = unmatched()
    answer = act(as_tier("Supervisor"), money, "match_to_order", **typed)
    assert answer.status_code == 200
    assert b'name="account"' in answer.content
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("tier", ["Viewer", "Agent"])
def test_others_may_not_even_look(as_tier: Any, tier: str) -> None:
    money = unmatched()
    client = as_tier(tier)
    assert client.get(reverse(LIST)).status_code == 403
    assert act(client, money, "match_to_order", account=make_order().number, why="I want it").status_code == 403
    assert not Transaction.objects.exists()


def test_a_person_decides_between_two_orders(django_user_model: Any) -> None:
    orders, receipt = [make_order(), make_order()], new_receipt()
    for order in orders:
        announce(order.account_number, 1500, receipt=receipt)
    hear(receipt, 1500)
    by = django_user_model.objects.create_user("wanja")
    assert desk.match(Confirmation.objects.filter(order=orders[1]).get(), orders[1], by=by, why="the statement")
    assert Transaction.objects.get().order == orders[1]
    assert not desk.match(Confirmation.objects.filter(order=orders[0]).get(), orders[0], by=by, why="no")


def test_what_is_set_aside_is_neither_counted_nor_asked_about(as_tier: Any, django_user_model: Any) -> None:
    money = unmatched()
    act(as_tier("Supervisor"), money, "set_aside", why="Sent back over the counter")
    money.refresh_from_db()
    assert (money.state, money.check_after) == ("set_aside", None)
    assert not desk.match(money, make_order(), by=django_user_model.objects.get(), why="late")


def test_a_claim_for_staff_is_closed_with_a_reason(as_tier: Any) -> None:
    rescue.claim(make_order(), "UKP0X00500", address=None)
    claim = ReceiptClaim.objects.get()
    ReceiptClaim.objects.update(state="for_staff")
    act(as_tier("Supervisor"), claim, "close", "admin:payments_receiptclaim_changelist", why="Called back")
    claim.refresh_from_db()
    assert (claim.state, claim.closed_by.username) == ("closed", "supervisor")


def test_the_lists_are_searched_by_receipt_and_account_and_show_no_whole_phone(as_tier: Any) -> None:
    client, order = as_tier("Supervisor"), make_order()
    announce(order.account_number, 1500, receipt="UKP0X00600", MSISDN="254712345678")
    for term in ("ukp0x00600", order.number):
        shown = client.get(reverse(LIST), {"q": term}).content.decode()
        assert "UKP0X00600" in shown
        assert "254712345678" not in shown
    page = client.get(reverse("admin:payments_confirmation_change", args=[Confirmation.objects.get().pk]))
    assert "254712345678" not in page.content.decode()


def test_what_names_the_payer_is_forgotten_in_time_and_money_that_waits_is_not() -> None:
    counted, waiting = pay_by_hand(make_order()), unmatched()
    let_pass(3600)
    purge_callbacks(older_than=timedelta(minutes=30))
    counted.refresh_from_db()
    waiting.refresh_from_db()
    assert (bytes(counted.body), counted.trans_id != "", bytes(waiting.body) != b"") == (b"", True, True)
    assert anonymise_payments(older_than=timedelta(minutes=30)) == 1
    counted.refresh_from_db()
    assert (counted.msisdn, counted.amount) == ("", 1500)
