from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from payments.models import Action, Status, Transaction
from payments.tests.conftest import FakeDaraja
from payments.tests.test_desk import as_tier  # noqa: F401 - a fixture
from shop.models import CounterSale, Order
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

COUNTER = "/admin/payments/counter/"


@pytest.fixture
def agent(as_tier: Any) -> Any:  # noqa: F811
    return as_tier("Agent")


def test_amount_and_phone_become_a_prompt_and_a_page(agent: Any, daraja: FakeDaraja) -> None:
    done = agent.post(COUNTER, {"amount": "1,500", "phone_number": "0712 000 777", "what": "Kiondo"})
    payment = Transaction.objects.get()
    assert (done.status_code, done.headers["Location"]) == (303, f"{COUNTER}{payment.pk}/")
    assert (payment.amount, payment.phone_number, payment.status) == (1500, "254712000777", Status.PENDING)
    assert (daraja.pushes[0]["amount"], CounterSale.objects.get().what) == (1500, "Kiondo")
    event = payment.events.get(source="staff")
    assert (event.action, str(event.by)) == (Action.COUNTER, "agent")
    assert LogEntry.objects.get().object_id == str(payment.pk)
    assert "0712 000 777" in agent.get(done.headers["Location"]).text


def test_the_page_is_the_customers_own_live_page(agent: Any, post_callback: Any) -> None:
    payment = make_transaction()
    page = agent.get(f"{COUNTER}{payment.pk}/")
    assert f"/ws/payments/{payment.pk}/" in page.text
    assert "http-equiv" in page.text
    assert "Next customer" in page.text
    post_callback(payment)
    assert "Payment received" in agent.get(f"{COUNTER}{payment.pk}/").text


def test_a_busy_counter_is_not_held_up_by_the_limit_of_its_own_address(agent: Any, daraja: FakeDaraja) -> None:
    for number in range(32):
        done = agent.post(COUNTER, {"amount": "10", "phone_number": f"07120009{number:02d}"})
        assert done.status_code == 303, number
        Transaction.objects.update(created_at="2026-01-01T00:00:00Z")  # a second apart, as people come


@pytest.mark.parametrize(
    ("amount", "phone_number", "told"),
    [
        ("0", "0712000777", "from KES 1 to KES 250,000"),
        ("250001", "0712000777", "from KES 1 to KES 250,000"),
        ("ten", "0712000777", "from KES 1 to KES 250,000"),
        ("", "0712000777", "required"),
        ("10", "0812000777", "Enter a Safaricom number"),
    ],
)
def test_what_cannot_be_asked_is_said_and_nothing_is_written(
    agent: Any, daraja: FakeDaraja, amount: str, phone_number: str, told: str
) -> None:
    page = agent.post(COUNTER, {"amount": amount, "phone_number": phone_number})
    assert (page.status_code, told in page.text) == (400, True)
    assert not Order.objects.exists()


def test_a_phone_that_is_busy_leaves_no_open_sale(agent: Any, daraja: FakeDaraja) -> None:
    make_transaction(phone_number="254712000777")
    page = agent.post(COUNTER, {"amount": "10", "phone_number": "0712000777"})
    assert (page.status_code, "another M-PESA request open" in page.text) == (409, True)
    assert CounterSale.objects.get().order.status == "CANCELLED"
    assert daraja.pushes == []


def test_without_a_phone_the_customer_scans_the_order(agent: Any) -> None:
    done = agent.post(COUNTER, {"amount": "10"})
    order = CounterSale.objects.get().order
    assert done.headers["Location"] == f"{COUNTER}order/{order.pk}/"
    page = agent.get(done.headers["Location"])
    assert "<svg" in page.text
    assert f"/orders/{order.pk}/" in page.text
    payment = make_transaction(order=order)
    assert agent.get(done.headers["Location"]).headers["Location"] == f"{COUNTER}{payment.pk}/"


@pytest.mark.parametrize("path", ["", "{payment}/", "order/{order}/"])
def test_the_counter_is_for_those_who_may_use_it(as_tier: Any, path: str) -> None:  # noqa: F811
    payment = make_transaction()
    url = COUNTER + path.format(payment=payment.pk, order=payment.order_id)
    assert as_tier("Viewer").get(url).status_code == 403
    assert as_tier("Supervisor").get(url).status_code in (200, 303)


def test_strangers_are_sent_to_the_login(client: Any) -> None:
    assert client.get(COUNTER).headers["Location"].startswith("/admin/login/")
