from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from payments.admin.acting import ACTS
from payments.daraja.client import QueryAnswer
from payments.models import Action, Delivery, Discrepancy, Reason, Source, Status, Transaction, TransactionEvent
from payments.signals import transaction_changed
from payments.tests.conftest import FakeDaraja
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

TIERS = ("Viewer", "Agent", "Supervisor")
MAY = {
    "ask": {"Agent", "Supervisor"},
    "resend": {"Agent", "Supervisor"},
    "note": {"Agent", "Supervisor"},
    "phone": {"Supervisor"},
    "complete": {"Supervisor"},
    "leave-unpaid": {"Supervisor"},
    "resolve": {"Supervisor"},
}


def url(payment: Transaction, act: str = "") -> str:
    return f"/admin/payments/transaction/{payment.pk}/{f'do/{act}' if act else 'change'}/"


@pytest.fixture
def as_tier(client: Any) -> Any:
    """Log in as somebody of a tier and return the client."""

    def log_in(tier: str) -> Any:
        user = User.objects.create_user(tier.lower(), is_staff=True)
        user.groups.add(Group.objects.get(name=tier))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def failed(daraja: FakeDaraja) -> Transaction:
    """A payment that time alone ended, a while ago: it may be asked about and its prompt sent again."""
    then = timezone.now() - timedelta(minutes=20)
    payment = make_transaction(
        status=Status.FAILED, reason=Reason.EXPIRED, failed_by=Source.EXPIRY, failed_at=then, check_after=None
    )
    Transaction.objects.filter(pk=payment.pk).update(created_at=then)
    payment.refresh_from_db()
    return payment


def test_the_matrix_names_every_act() -> None:
    assert set(MAY) == set(ACTS)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("act", sorted(ACTS))
def test_permission_matrix(as_tier: Any, failed: Transaction, tier: str, act: str) -> None:
    """Page and deed are for whom the table says; for everybody else nothing happens at all."""
    client, allowed = as_tier(tier), tier in MAY[act]
    page = client.get(url(failed, act))
    done = client.post(url(failed, act), {"why": "because", "text": "because"})
    assert page.status_code == (200 if allowed else 403)
    assert (done.status_code != 403) is allowed
    if not allowed:
        assert not LogEntry.objects.exists()
        assert not TransactionEvent.objects.filter(transaction=failed).exists()


@pytest.mark.parametrize("tier", TIERS)
def test_the_page_offers_what_may_be_done_and_nothing_else(as_tier: Any, failed: Transaction, tier: str) -> None:
    page = as_tier(tier).get(url(failed)).text
    for act in ("ask", "resend", "note", "phone"):
        assert (url(failed, act) in page) is (tier in MAY[act]), act


@pytest.mark.parametrize("act", sorted(ACTS))
def test_an_act_without_the_right_to_see_payments_is_refused(client: Any, failed: Transaction, act: str) -> None:
    user = User.objects.create_user("odd", is_staff=True)
    codename = ACTS[act].permission.partition(".")[2]
    user.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(user)
    assert client.post(url(failed, act), {"why": "x"}).status_code == 403


def test_strangers_are_sent_to_the_login(client: Any, failed: Transaction) -> None:
    for act in ACTS:
        assert client.post(url(failed, act)).headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("act", ["complete", "leave-unpaid", "resolve", "phone", "note"])
def test_what_concerns_money_or_people_needs_words(as_tier: Any, post_callback: Any, act: str) -> None:
    payment = make_transaction()
    post_callback(payment, Amount=1)
    events = payment.events.count()
    assert as_tier("Supervisor").post(url(payment, act), {"why": " ", "text": ""}).status_code == 400
    payment.refresh_from_db()
    assert (payment.status, payment.events.count()) == (Status.PENDING, events)


def test_an_act_is_in_the_history_and_in_the_log_and_watchers_are_told(
    as_tier: Any, failed: Transaction, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []

    def listen(*args: Any, transaction_id: Any, **kwargs: Any) -> None:
        heard.append(transaction_id)

    transaction_changed.connect(listen)
    client = as_tier("Agent")
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url(failed, "note"), {"text": "Called: has paid, has no SMS"})
    transaction_changed.disconnect(listen)
    event, entry = failed.events.get(), LogEntry.objects.get()
    assert (event.action, str(event.by), event.note) == (Action.NOTE, "agent", "Called: has paid, has no SMS")
    assert (entry.object_id, str(entry.user)) == (str(failed.pk), "agent")
    assert heard == [failed.pk]
    page = client.get(url(failed))
    assert [note.note for note in page.context["notes"]] == ["Called: has paid, has no SMS"]


def test_asking_settles_what_m_pesa_says(as_tier: Any, failed: Transaction, daraja: FakeDaraja) -> None:
    daraja.query = lambda _id: QueryAnswer("success", "0", "Processed", None)
    client = as_tier("Agent")
    page = client.post(url(failed, "ask"), follow=True)
    failed.refresh_from_db()
    assert (failed.status, failed.late, failed.settled_by) == (Status.COMPLETED, True, Source.QUERY)
    assert "M-PESA says that it is paid." in page.text
    assert ("asked", "query", "M-PESA: completed") in failed.events.values_list("action", "source", "note")


def test_asking_waits_ten_seconds_whoever_asks(as_tier: Any, failed: Transaction, daraja: FakeDaraja) -> None:
    client = as_tier("Agent")
    client.post(url(failed, "ask"))
    page = client.post(url(failed, "ask"), follow=True)
    assert "Wait ten seconds" in page.text
    assert len(daraja.queries) == 1
    failed.events.update(created_at=timezone.now() - timedelta(seconds=10))
    client.post(url(failed, "ask"))
    assert len(daraja.queries) == 2


def test_asking_keeps_within_the_budget_of_all_workers(
    as_tier: Any, failed: Transaction, daraja: FakeDaraja, settings: Any
) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 1
    client = as_tier("Agent")
    client.post(url(failed, "ask"))
    other = make_transaction()
    page = client.post(url(other, "ask"), follow=True)
    assert "questions are used up" in page.text
    assert len(daraja.queries) == 1
    assert other.events.filter(note__startswith="not asked").exists()


def test_a_prompt_sent_again_is_a_new_attempt_under_the_same_rules(
    as_tier: Any, failed: Transaction, daraja: FakeDaraja
) -> None:
    client = as_tier("Agent")
    client.post(url(failed, "resend"))
    again = Transaction.objects.exclude(pk=failed.pk).get()
    assert (again.order_id, again.phone_number, again.status) == (failed.order_id, failed.phone_number, "PENDING")
    assert again.events.get(action=Action.RESENT)
    assert failed.events.get(action=Action.RESENT)
    page = client.post(url(failed, "resend"), follow=True)
    assert "still has the prompt" in page.text
    assert len(daraja.pushes) == 1


def test_no_prompt_is_offered_while_the_order_is_under_review(as_tier: Any, failed: Transaction) -> None:
    make_transaction(order=failed.order, status=Status.FAILED, reason=Reason.UNDER_REVIEW, under_review=True)
    assert url(failed, "resend") not in as_tier("Agent").get(url(failed)).text


def test_a_prompt_is_not_sent_again_for_a_paid_order(as_tier: Any, post_callback: Any, daraja: FakeDaraja) -> None:
    payment = make_transaction()
    post_callback(payment)
    page = as_tier("Agent").post(url(payment, "resend"), follow=True)
    assert "already paid" in page.text
    assert daraja.pushes == []


def test_the_whole_number_is_shown_once_and_written_down(as_tier: Any, failed: Transaction) -> None:
    client = as_tier("Supervisor")
    local = f"0{failed.phone_number[3:6]} {failed.phone_number[6:9]} {failed.phone_number[9:]}"
    page = client.post(url(failed, "phone"), {"why": "The customer has to be called"})
    assert local in page.text
    assert "no-store" in page.headers["Cache-Control"]
    assert failed.events.get().action == Action.SAW_PHONE
    assert "phone number" in LogEntry.objects.get().change_message
    assert local not in client.get(url(failed)).text


def test_a_supervisor_decides_on_the_page_of_the_payment(as_tier: Any, post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, Amount=1)
    client = as_tier("Supervisor")
    page = client.get(url(payment)).text
    assert url(payment, "complete") in page
    assert url(payment, "leave-unpaid") in page
    form = client.get(url(payment, "complete")).text
    assert 'name="amount" value="1"' in form
    said = {"why": "It is on the statement", "amount": "KES 1,500", "receipt": "ukpfound01"}
    client.post(url(payment, "complete"), said)
    payment.refresh_from_db()
    assert (payment.status, payment.settled_by) == (Status.COMPLETED, Source.STAFF)
    assert (payment.amount, payment.mpesa_receipt_number) == (1500, "UKPFOUND01")
    assert url(payment, "complete") not in client.get(url(payment)).text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"receipt": ""}, "Type the receipt, or say that none is known"),
        ({"no_receipt": "on"}, "Type the receipt, or say that none is known"),
        ({"receipt": "no code"}, "This is no M-PESA receipt"),
        ({"receipt": "UKPHELD001"}, "Another payment has this receipt"),
        ({"amount": "0"}, "The amount must be from KES 1"),
        ({"amount": "250,001"}, "The amount must be from KES 1"),
        ({"amount": "12.50"}, "The amount must be from KES 1"),
        ({"why": " "}, "This field is required"),
    ],
)
def test_what_was_found_is_read_strictly(as_tier: Any, post_callback: Any, said: dict[str, str], told: str) -> None:
    post_callback(make_transaction(), MpesaReceiptNumber="UKPHELD001")
    payment = make_transaction()
    post_callback(payment, Amount=1)
    whole = {"why": "Seen", "amount": "1500", "receipt": "UKPFOUND02", **said}
    answer = as_tier("Supervisor").post(url(payment, "complete"), whole)
    payment.refresh_from_db()
    assert (answer.status_code, told in answer.text, payment.status) == (400, True, Status.PENDING)


def test_a_part_says_what_is_still_due(as_tier: Any, post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, Amount=600)
    said = {"why": "Seen", "amount": "600", "no_receipt": "on"}
    answer = as_tier("Supervisor").post(url(payment, "complete"), said, follow=True)
    assert "KES 600 are booked; KES 900 of the order are still due." in answer.text


def test_a_discrepancy_is_resolved_on_the_page_of_the_payment(as_tier: Any, post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment)
    post_callback(payment, code=1032)
    found = Discrepancy.objects.get()
    client = as_tier("Supervisor")
    assert f"{url(payment, 'resolve')}?discrepancy={found.pk}" in client.get(url(payment)).text
    client.post(url(payment, "resolve"), {"discrepancy": found.pk, "why": "The statement says paid"})
    found.refresh_from_db()
    assert (found.resolution, payment.events.last().action) == ("The statement says paid", Action.RESOLVED)


def test_a_discrepancy_of_another_payment_cannot_be_named(as_tier: Any, post_callback: Any) -> None:
    payment, other = make_transaction(), make_transaction()
    for one in (payment, other):
        post_callback(one)
        post_callback(one, code=1032)
    foreign = other.discrepancies.get()
    page = as_tier("Supervisor").post(url(payment, "resolve"), {"discrepancy": foreign.pk, "why": "x"})
    foreign.refresh_from_db()
    assert (page.status_code, foreign.resolved_at) == (400, None)


def test_evidence_is_for_those_who_may_see_it_and_redacted(as_tier: Any, post_callback: Any) -> None:
    payment = make_transaction(checkout_request_id="ws_CO_24112026030935919712345678")
    post_callback(payment)
    page = as_tier("Supervisor").get(url(payment)).text
    assert "stkCallback" in page
    assert "ws_CO_[redacted]" in page
    assert "ws_CO_24112026" not in page
    assert "stkCallback" not in as_tier("Viewer").get(url(payment)).text


def test_the_page_asks_the_database_as_often_for_many_lines_as_for_few(
    as_tier: Any, post_callback: Any, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    client, payment = as_tier("Supervisor"), make_transaction()
    post_callback(payment, code=1032)
    client.get(url(payment))
    with django_assert_max_num_queries(20) as few:
        client.get(url(payment))
    expected = len(few)
    for code in (1037, 1, 2001):
        post_callback(payment, code=code)
    with django_assert_num_queries(expected):
        client.get(url(payment))


def test_the_page_says_whether_the_customer_saw_the_end(as_tier: Any, post_callback: Any) -> None:
    client, payment = as_tier("Viewer"), make_transaction()
    assert "has not ended" in client.get(url(payment)).text
    post_callback(payment)
    now = timezone.now()
    moments = {"received_at": now - timedelta(seconds=1), "committed_at": now}
    delivery, _ = Delivery.objects.update_or_create(pk=payment.pk, defaults={"version": payment.version, **moments})
    assert "nobody was watching" in client.get(url(payment)).text
    delivery.sent_at, delivery.painted_at, delivery.channel, delivery.watched = now, now, "socket", True
    delivery.save()
    page = client.get(url(payment)).text
    assert "1.00 s after it came in" in page
    assert "Socket" in page


PAGES = {
    "/admin/payments/transaction/": set(TIERS),
    "/admin/payments/discrepancy/": set(TIERS),
    "/admin/payments/transactionevent/": set(TIERS),
    "/admin/payments/orders/": set(TIERS),
    "/admin/payments/export/": set(TIERS),
    "/admin/payments/counter/": {"Agent", "Supervisor"},
    "/admin/payments/callback/": {"Supervisor"},
    "/admin/payments/unwantedphone/add/": {"Supervisor"},
    "/admin/payments/refund/for/{payment}/": {"Supervisor"},
    "/admin/auth/user/": set(),
    "/admin/shop/product/add/": set(),
}


@pytest.mark.parametrize("tier", TIERS)
def test_permission_matrix_of_the_pages(as_tier: Any, tier: str) -> None:
    client, payment = as_tier(tier), make_transaction()
    for page, allowed in PAGES.items():
        status = client.get(page.format(payment=payment.pk)).status_code
        assert status == (200 if tier in allowed else 403), page
