"""The board as a page and as what a page without a socket polls."""

from __future__ import annotations

import pytest
from django.urls import reverse

from payments.models import Source, Status, TransactionEvent
from payments.transitions import transition
from realtime.board import painter, rows, shared
from realtime.board.look import Look, read_query
from realtime.tests.boards import SEES, logged_in, make_staff
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db
BOARD = "/admin/payments/live/"


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> None:
    shared.forget_all()


@pytest.fixture
def staff():
    return logged_in(make_staff(SEES))


def complete(payment, receipt="SAB12CDE3F"):
    assert transition(payment.pk, Status.COMPLETED, source=Source.CALLBACK, mpesa_receipt_number=receipt)


def test_the_board_is_for_staff_with_the_permission(client, staff):
    assert reverse("live_board") == BOARD
    assert client.get(BOARD).status_code == 302
    assert logged_in(make_staff()).get(BOARD).status_code == 403
    assert logged_in(make_staff(SEES, is_staff=False)).get(BOARD).status_code == 302
    assert staff.get(BOARD).status_code == 200


def test_the_page_shows_masked_phones_and_breaks_no_policy(staff):
    payment = make_transaction()
    answer = staff.get(BOARD)
    page = answer.content.decode()
    assert payment.phone_number[3:] not in page
    assert f'id="p-{payment.pk}"' in page
    assert "style=" not in page
    assert "'unsafe" not in answer["Content-Security-Policy"]


def test_a_filter_narrows_page_and_news_alike(staff):
    waiting, done = make_transaction(), make_transaction()
    complete(done)
    page = staff.get(BOARD, {"status": "PENDING"}).content.decode()
    assert f"p-{waiting.pk}" in page
    assert f"p-{done.pk}" not in page
    look = Look(query="status=PENDING")
    (news,) = painter.feed({waiting.pk: None, done.pk: None}, [look])[look]
    assert f'id="p-{done.pk}" data-gone' in news
    assert f'id="p-{waiting.pk}" data-version' in news


def test_a_poll_fills_the_gap_since_its_cursor_and_costs_nothing_when_nothing_is_new(staff, monkeypatch):
    monkeypatch.setattr(rows, "MARGIN", 0)
    old, new = make_transaction(), make_transaction()
    complete(old, "SOLD000001")
    cursor = TransactionEvent.objects.latest("pk").pk
    complete(new, "SNEW000001")
    poll = {"fragment": "1", "cursor": cursor}
    answer = staff.get(BOARD, poll)
    text = answer.content.decode()
    assert "SNEW000001" in text
    assert "SOLD000001" not in text
    assert 'id="kpis"' in text
    again = staff.get(BOARD, poll, headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("cursor", ["", "x", "-1", "9" * 50, "١", "1e9"])
def test_a_cursor_of_any_kind_is_no_error(staff, cursor):
    assert staff.get(BOARD, {"fragment": "1", "cursor": cursor}).status_code == 200


@pytest.mark.parametrize("query", ["a=1&" * 90, "q=%ff%fe", "q=\x00", "status=NOPE&least=abc", "=&&==", "q[]=1"])
def test_a_query_of_any_kind_is_no_error(staff, query):
    assert Look.of(read_query(query), language="en").language == "en"
    assert staff.get(f"{BOARD}?{query}").status_code in {200, 400}


def test_the_wall_shows_no_payment(staff):
    payment = make_transaction()
    page = staff.get(BOARD, {"wall": "1"}).content.decode()
    assert str(payment.pk) not in page
    look = Look(wall=True)
    assert painter.feed({payment.pk: None}, [look]) == {}
    assert len(painter.greeting(look, "0")) == 1


def test_boards_of_one_look_cost_the_same_as_one(django_assert_max_num_queries):
    payments = [make_transaction() for _ in range(20)]
    look = Look()
    with django_assert_max_num_queries(2):
        (news,) = painter.feed({payment.pk: None for payment in payments}, [look])[look]
    assert news.count("<tr") == 20


def test_the_attempt_is_counted_within_its_order():
    first = make_transaction()
    complete(first)
    second = make_transaction(order=first.order)
    shown = {payment.pk: rows.row(payment)["attempt"] for payment in rows.newest(Look().search)}
    assert (shown[first.pk], shown[second.pk]) == ("", "try 2")


def test_swahili_is_spoken(staff):
    staff.cookies["django_language"] = "sw"
    assert "Yanayohitaji mtu" in staff.get(BOARD).content.decode()
