from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.utils import timezone

from payments.desk.orders import TOLD_FOR
from payments.mail import send_due
from payments.models import Action, Mail, Refund, Transaction
from payments.refunds.decisions import decline, record_by_hand
from payments.signals import transaction_changed
from payments.tests.test_desk import as_tier  # noqa: F401 - a fixture
from shop.models import Order
from shop.orders import place_counter_sale
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db

DESK = "/admin/payments/orders/"


@pytest.fixture
def paid(post_callback: Any) -> Transaction:
    payment = make_transaction(order=make_order(customer_name="Asha"))
    post_callback(payment)
    return payment


def shown(client: Any) -> dict[str, list[str]]:
    columns = client.get(DESK).context["columns"]
    return {column["name"]: [order.number for order in column["orders"]] for column in columns}


def test_a_paid_order_waits_is_packed_and_leaves(as_tier: Any, paid: Transaction) -> None:  # noqa: F811
    client, number = as_tier("Agent"), paid.order.number
    make_order()  # not paid: it is nobody's work yet
    assert shown(client) == {"to-pack": [number], "packed": [], "gone": []}
    client.post(f"{DESK}{paid.order_id}/", {"step": "packed"})
    assert shown(client) == {"to-pack": [], "packed": [number], "gone": []}
    client.post(f"{DESK}{paid.order_id}/", {"step": "handed_over"})
    assert shown(client) == {"to-pack": [], "packed": [], "gone": [number]}
    client.post(f"{DESK}{paid.order_id}/", {"undo": "handed_over"})
    assert shown(client) == {"to-pack": [], "packed": [number], "gone": []}
    assert [event.action for event in paid.events.exclude(by=None)] == [
        Action.PACKED,
        Action.HANDED_OVER,
        Action.UNDONE,
    ]
    assert LogEntry.objects.filter(object_id=str(paid.order_id)).count() == 3


def test_a_press_is_told_to_whoever_watches(
    as_tier: Any,  # noqa: F811
    paid: Transaction,
    django_capture_on_commit_callbacks: Any,
) -> None:
    heard: list[Any] = []

    def listen(*args: Any, transaction_id: Any, **kwargs: Any) -> None:
        heard.append(transaction_id)

    transaction_changed.connect(listen)
    with django_capture_on_commit_callbacks(execute=True):
        as_tier("Agent").post(f"{DESK}{paid.order_id}/", {"step": "packed"})
    transaction_changed.disconnect(listen)
    assert heard == [paid.pk]


def test_who_comes_second_is_told_and_changes_nothing(as_tier: Any, paid: Transaction) -> None:  # noqa: F811
    client = as_tier("Agent")
    client.post(f"{DESK}{paid.order_id}/", {"step": "packed"})
    page = client.post(f"{DESK}{paid.order_id}/", {"step": "packed"}, follow=True)
    assert "moved on already" in page.text
    assert LogEntry.objects.count() == 1


# Money that went back ----------------------------------------------------------------------------------------------


@pytest.fixture
def give_back() -> Any:
    """Return KES of a payment by hand, as a supervisor does."""
    supervisor = User.objects.create_user("wanjiru", is_staff=True)
    supervisor.groups.add(Group.objects.get(name="Supervisor"))
    return lambda payment, amount: record_by_hand(payment.pk, amount=amount, reason="Sold out", by=supervisor)


def test_an_order_whose_money_went_back_leaves_the_queue_and_is_shown(
    as_tier: Any,  # noqa: F811
    paid: Transaction,
    give_back: Any,
) -> None:
    client, number = as_tier("Agent"), paid.order.number
    give_back(paid, 1000)
    assert shown(client) == {"to-pack": [number], "packed": [], "gone": []}
    assert "KES 1,000 sent back" in client.get(DESK).text
    give_back(paid, 500)
    assert shown(client) == {"sent-back": [number], "to-pack": [], "packed": [], "gone": []}
    assert "KES 1,500 sent back" in client.get(DESK).text
    assert "formaction" not in client.get(DESK).text


def test_what_is_packed_already_is_put_back(as_tier: Any, paid: Transaction, give_back: Any) -> None:  # noqa: F811
    client = as_tier("Agent")
    client.post(f"{DESK}{paid.order_id}/", {"step": "packed"})
    give_back(paid, 1500)
    assert shown(client)["sent-back"] == [paid.order.number]
    assert "Put it back on the shelf." in client.get(DESK).text


@pytest.mark.parametrize("before", ["to_pack", "packed"])
def test_a_page_that_is_behind_cannot_move_what_was_sent_back(
    as_tier: Any,  # noqa: F811
    paid: Transaction,
    give_back: Any,
    before: str,
) -> None:
    client = as_tier("Agent")
    if before == "packed":
        client.post(f"{DESK}{paid.order_id}/", {"step": "packed"})
    give_back(paid, 1500)
    step = "packed" if before == "to_pack" else "handed_over"
    assert "its money went back" in client.post(f"{DESK}{paid.order_id}/", {"step": step}, follow=True).text
    assert Order.objects.get().fulfilment == before


def test_the_second_payment_sent_back_leaves_the_first_to_be_packed(
    as_tier: Any,  # noqa: F811
    paid: Transaction,
    post_callback: Any,
    give_back: Any,
) -> None:
    second = make_transaction(order=paid.order, phone_number="254712000778")
    post_callback(second)
    give_back(second, 1500)
    client = as_tier("Agent")
    assert shown(client)["to-pack"] == [paid.order.number]
    client.post(f"{DESK}{paid.order_id}/", {"step": "packed"})
    assert Order.objects.get().fulfilment == "packed"


def test_money_on_its_way_back_is_said_where_the_order_waits(
    as_tier: Any,  # noqa: F811
    paid: Transaction,
    give_back: Any,
    settings: Any,
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 100
    refund = give_back(paid, 1500)
    client = as_tier("Agent")
    assert shown(client)["to-pack"] == [paid.order.number]
    assert "KES 1,500 is being sent back" in client.get(DESK).text
    decline(refund.pk, by=refund.requested_by, why="found one more")
    assert "sent back" not in client.get(DESK).text


def test_it_is_shown_for_a_week(as_tier: Any, paid: Transaction, give_back: Any) -> None:  # noqa: F811
    Refund.objects.filter(pk=give_back(paid, 1500).pk).update(ended_at=timezone.now() - TOLD_FOR)
    assert shown(as_tier("Agent")) == {"to-pack": [], "packed": [], "gone": []}


@pytest.mark.parametrize(("tier", "status"), [("Viewer", 403), ("Agent", 303), ("Supervisor", 303)])
def test_who_may_press(as_tier: Any, paid: Transaction, tier: str, status: int) -> None:  # noqa: F811
    client = as_tier(tier)
    assert ("formaction" in client.get(DESK).text) is (status == 303)
    assert client.post(f"{DESK}{paid.order_id}/", {"step": "packed"}).status_code == status
    assert (Order.objects.get().fulfilment == "packed") is (status == 303)


@pytest.mark.parametrize("said", [{}, {"step": "to_pack"}, {"undo": "to_pack"}, {"step": "lost"}])
def test_only_our_buttons_count(as_tier: Any, paid: Transaction, said: dict[str, str]) -> None:  # noqa: F811
    assert as_tier("Agent").post(f"{DESK}{paid.order_id}/", said).status_code == 400


def test_the_part_that_changes_comes_alone_and_the_same_while_nothing_does(
    as_tier: Any,  # noqa: F811
    paid: Transaction,
) -> None:
    client = as_tier("Agent")
    parts = [client.get(DESK, headers={"X-Fragment": "1"}).text for _ in range(2)]
    assert parts[0] == parts[1]
    assert "<html" not in parts[0]
    assert paid.order.number in parts[0]


def test_the_shop_hears_of_a_paid_order_once(settings: Any, post_callback: Any, mailoutbox: Any) -> None:
    settings.ORDER_EMAILS = ("pack@example.com", "chief@example.com")
    payment = make_transaction(order=make_order(customer_name="Asha"), phone_number="254712000777")
    post_callback(payment)
    post_callback(payment)
    send_due()
    assert sorted(letter.to[0] for letter in mailoutbox) == ["chief@example.com", "pack@example.com"]
    letter = mailoutbox[0]
    assert letter.subject == f"Order {payment.order.number} is paid: KES 1,500"
    assert "Asha" in letter.body
    assert "0712 ••• 777" in letter.body
    assert f"{settings.PUBLIC_BASE_URL}{DESK}" in letter.body


def test_a_second_payment_of_an_order_writes_no_second_letter(settings: Any, post_callback: Any) -> None:
    settings.ORDER_EMAILS = ("pack@example.com",)
    first = make_transaction(status="FAILED", reason="expired")
    second = make_transaction(order=first.order)
    post_callback(second)
    post_callback(first)
    assert Mail.objects.filter(key__startswith="order:").count() == 1


def test_nobody_is_told_of_what_is_sold_at_the_counter(settings: Any, post_callback: Any) -> None:
    settings.ORDER_EMAILS = ("pack@example.com",)
    payment = make_transaction(order=place_counter_sale(10))
    post_callback(payment)
    assert (payment.status, Mail.objects.count()) == ("COMPLETED", 0)
