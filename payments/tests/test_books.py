"""What staff are shown of the books: a day and its letter, the findings, the takings."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from middleware import LARGEST_BODY
from payments.books.admin import LARGEST_STATEMENT
from payments.books.compare import compare
from payments.books.day import load_day
from payments.daraja import operator
from payments.daraja.client import DarajaThrottled
from payments.daraja.operator import PulledRow
from payments.models import MADE_UP, Finding, Mail, Reading, Reason, Refund
from payments.tests.mpesas_record import HEADER, NOON, PREAMBLE, found, line, make_paid, read
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db


def test_a_day_balances_when_both_sides_were_read_and_agree() -> None:
    make_paid()
    day = date(2026, 11, 20)
    assert not load_day(day).balances
    reading = read(line("UKK0000001", paid_in="1500"))
    compare(reading)
    shown = load_day(day)
    assert (shown.balances, shown.ours.amount, shown.theirs.amount) == (True, 1500, 1500)


def test_sums_are_exact_to_the_cent() -> None:
    compare(read(line("UKK0000001", paid_in="185.10"), line("UKK0000002", paid_in="185.20")))
    assert load_day(date(2026, 11, 20)).theirs.amount == Decimal("370.30")


def test_the_history_of_the_demo_is_in_nobodys_books() -> None:
    make_paid()
    make_paid("UKK0000002", account_reference=f"{MADE_UP}AAAA", environment="simulator")
    compare(read(line("UKK0000001", paid_in="1500")))
    assert (found(), load_day(date(2026, 11, 20)).ours.payments) == ([], 1)


def test_an_account_that_only_begins_like_the_demo_is_in_the_books(settings: Any) -> None:
    settings.MPESA_ENVIRONMENT = "production"
    make_paid(account_reference=f"{MADE_UP}AAAA", environment="production")
    compare(read(line("UKK0000009", paid_in="1500")))
    assert ("missing_theirs", "UKK0000001") in found()


def test_the_letter_about_a_day_is_written_once(settings: Any, capsys: Any) -> None:
    settings.BOOKS_EMAIL = ["books@shop.example"]
    make_paid()
    compare(read(line("UKK0000001", paid_in="1499")))
    for _ in range(2):
        call_command("close_day", day=date(2026, 11, 20))
    letter = Mail.objects.get()
    assert "please look" in letter.subject
    assert "KES 1,500.00" in letter.body
    assert "KES 1,499.00" in letter.body
    assert "Another amount: 1" in letter.body
    assert "1 findings open. The books do not match yet." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "M-PESA's record has not been read for the whole day"),
        (line("UKK0000100", withdrawn="5", details="Charge"), "The books match: neither has a payment."),
        (line("UKK0000001", paid_in="1500"), "The books do not match yet."),
    ],
)
def test_a_day_without_payments_is_closed_with_what_is_known_of_it(text: str, said: str, capsys: Any) -> None:
    if text:
        compare(read(text))
    call_command("close_day", day=date(2026, 11, 20))
    assert said in capsys.readouterr().out


def test_a_day_is_closed_though_mpesa_gives_no_list(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BOOKS_EMAIL = ["books@shop.example"]

    def away(**asked: Any) -> list[PulledRow]:
        raise DarajaThrottled("429", "", Reason.BUSY)

    monkeypatch.setattr(operator, "pull_transactions", away)
    call_command("close_day", day=date(2026, 11, 20), pull=True)
    assert "has not been read for the whole day" in Mail.objects.get().body
    read(line("UKK0000100", withdrawn="5", details="Charge"))
    call_command("close_day", day=date(2026, 11, 20))
    assert "the books match" in Mail.objects.latest("pk").subject


def test_cash_does_not_account_for_a_reversal_in_the_portal() -> None:
    user = User.objects.create_user("wanjiru")
    payment = make_paid()
    facts = {"transaction": payment, "environment": payment.environment, "requested_by": user, "state": "done"}
    refund = Refund.objects.create(**facts, method="by_hand", amount=1500, receipt="till 3", ended_at=NOON)
    back = line("UKK0000009", withdrawn="1500", details="Pay Bill Reversal", linked="UKK0000001")
    compare(read(line("UKK0000001", paid_in="1500"), back))
    assert found() == [("reversed", "UKK0000009")]
    Finding.objects.all().delete()
    Refund.objects.filter(pk=refund.pk).update(receipt="UKK0000009")  # noted with M-PESA's receipt of the way back
    assert compare(Reading.objects.get()) == 0


def test_the_command_shows_how_far_it_is(tmp_path: Any, capsys: Any) -> None:
    path = tmp_path / "statement.csv"
    path.write_text(PREAMBLE + HEADER + line("UKK0000001", paid_in="1500"))
    call_command("import_statement", str(path))
    told = capsys.readouterr().out
    assert "100 %" in told
    assert "1 rows, 1 of them new; 1 new findings." in told
    with pytest.raises(CommandError):
        call_command("import_statement", str(tmp_path / "nothing.csv"))


@pytest.fixture
def supervisor(client: Any) -> User:
    user = User.objects.create_user("wanjiru", is_staff=True)
    names = ["view_finding", "view_reading", "view_movement", "view_transaction", "resolve_discrepancy"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return user


def test_a_statement_is_imported_on_the_page_and_a_finding_resolved(client: Any, supervisor: User) -> None:
    make_paid()
    url = "/admin/payments/finding/books/?day=2026-11-20"
    data = (PREAMBLE + HEADER + line("UKK0000001", paid_in="1499")).encode()
    page = client.post(url, {"file": SimpleUploadedFile("statement.csv", data)}, follow=True).content.decode()
    assert "1 rows were read, 1 of them new; 1 new findings." in page
    assert "1 difference is unexplained" in page
    assert "Another amount" in page
    finding = Finding.objects.get()
    chosen = {"action": "resolve_with_reason", "_selected_action": [finding.pk], "decided": "yes", "why": "a typo"}
    client.post("/admin/payments/finding/", chosen)
    finding.refresh_from_db()
    assert (finding.resolution, finding.resolved_by) == ("a typo", supervisor)
    assert "The books match" in client.get(url).content.decode()


def test_a_large_statement_comes_through_a_file_on_disk(client: Any, supervisor: User, settings: Any) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100  # bytes
    data = (PREAMBLE + HEADER + "".join(line(f"UKK{n:07d}", paid_in="10") for n in range(50))).encode()
    page = client.post("/admin/payments/finding/books/", {"file": SimpleUploadedFile("x.csv", data)}, follow=True)
    assert "50 rows were read" in page.content.decode()


def test_a_statement_too_large_for_a_body_is_sent_to_the_command(client: Any, supervisor: User) -> None:
    assert LARGEST_STATEMENT + 4096 < LARGEST_BODY  # the form around it included
    too_much = SimpleUploadedFile("x.csv", b"x" * (LARGEST_STATEMENT + 1))
    page = client.post("/admin/payments/finding/books/", {"file": too_much}).content.decode()
    assert "import it with manage.py import_statement" in page
    assert not Reading.objects.exists()


def test_a_file_that_is_no_statement_is_told_on_the_page(client: Any, supervisor: User) -> None:
    page = client.post("/admin/payments/finding/books/", {"file": SimpleUploadedFile("x.csv", b"a,b\n")})
    assert "No line has the columns" in page.content.decode()


def test_the_pages_are_for_those_who_may_see_the_books(client: Any) -> None:
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    for path in ("books/", "books/findings.csv", "takings/", "takings/days.csv"):
        assert client.get(f"/admin/payments/finding/{path}").status_code == 403
    client.force_login(User.objects.create_user("viewer", is_staff=True, is_superuser=True))
    assert client.get("/admin/payments/finding/takings/nonsense.csv").status_code == 404


def test_the_lists_and_their_search_open(client: Any, supervisor: User) -> None:
    make_paid()
    compare(read(line("UKK0000001", paid_in="1499")))
    for model in ("finding", "movement", "reading"):
        for query in ("", "?q=UKK0000001", "?q=%00"):
            assert client.get(f"/admin/payments/{model}/{query}").status_code in {200, 400}, (model, query)


def rows_of(response: Any) -> list[list[str]]:
    async def collect() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    text = async_to_sync(collect)().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_findings_as_a_sheet(client: Any, supervisor: User) -> None:
    make_paid()
    compare(read(line("UKK0000001", paid_in="1499")))
    days = "first=2026-11-20&last=2026-11-20"
    [_head, row] = rows_of(client.get(f"/admin/payments/finding/books/findings.csv?{days}"))
    assert row[2:6] == ["Another amount", "UKK0000001", "1500", "1499.00"]


def test_takings_by_day_product_and_hour(client: Any, supervisor: User) -> None:
    payment = make_paid()
    make_paid("UKK0000002", amount=500, at=NOON + timedelta(days=1, hours=2))
    payment.order.status, payment.order.paid_at, payment.order.amount_paid = "PAID", NOON, 1500
    payment.order.save()
    page = client.get("/admin/payments/finding/takings/?first=2026-11-20&last=2026-11-21").content.decode()
    assert "2,000" in page
    csvs = "/admin/payments/finding/takings/{}.csv?first=2026-11-20&last=2026-11-21"
    assert rows_of(client.get(csvs.format("days")))[1:] == [
        ["2026-11-20", "1", "1500", "0"],
        ["2026-11-21", "1", "500", "0"],
    ]
    hours = {row[0]: row[1:3] for row in rows_of(client.get(csvs.format("hours")))[1:]}
    assert (len(hours), hours["12:00"], hours["14:00"], hours["00:00"]) == (24, ["1", "1500"], ["1", "500"], ["0", "0"])
    [product] = rows_of(client.get(csvs.format("products")))[1:]
    assert product[1:3] == ["1", "1500"]
    lines = rows_of(client.get(csvs.format("accountant")))[1:]
    assert [(row[0], row[1], row[3], row[7]) for row in lines] == [
        ("2026-11-20", "12:00:00", "UKK0000001", "1500"),
        ("2026-11-21", "14:00:00", "UKK0000002", "500"),
    ]


def test_a_sheet_never_holds_a_formula(client: Any, supervisor: User) -> None:
    order = make_order(product=make_product(name="=HYPERLINK(1)"))
    payment = make_paid(order=order)
    payment.order.status, payment.order.paid_at, payment.order.amount_paid = "PAID", NOON, 1500
    payment.order.save()
    days = "first=2026-11-20&last=2026-11-20"
    assert rows_of(client.get(f"/admin/payments/finding/takings/products.csv?{days}"))[1][0] == "'=HYPERLINK(1)"
