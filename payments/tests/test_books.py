"""Reading M-PESA's record, comparing it with ours, and what staff are shown of that."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from payments.books import statement
from payments.books.compare import compare
from payments.books.day import load_day
from payments.books.pull import pull
from payments.books.statement import StatementError, import_statement
from payments.daraja import operator
from payments.daraja.client import DarajaThrottled, OutcomeUnknown
from payments.daraja.operator import PulledRow
from payments.models import Finding, Mail, Movement, Reading, Reason, Refund, Status, Transaction
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # noon in Nairobi
PREAMBLE = 'Organization Name,DUKA\n"Time Period","From 20-11-2026 To 20-11-2026"\n\n'
HEADER = (
    "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,"
    "Balance,Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No.\n"
)


def line(receipt: str, *, paid_in: str = "", withdrawn: str = "", **cells: str) -> str:
    row = {"at": "20-11-2026 12:00:00", "details": "Pay Bill from 2547****149 - JANE DOE Acc. X", **cells}
    buffer = io.StringIO()
    csv.writer(buffer).writerow(
        [
            *(receipt, row["at"], row["at"], row["details"], row.get("status", "Completed"), paid_in, withdrawn),
            *("1,000.00", "true", row.get("reason", "Pay Bill Online"), "2547****149 - JANE DOE"),
            *(row.get("linked", ""), row.get("account", "")),
        ]
    )
    return buffer.getvalue()


def read(*lines: str, preamble: str = PREAMBLE) -> Reading:
    data = (preamble + HEADER + "".join(lines)).encode()
    return import_statement(io.BytesIO(data), name="statement.csv")


def make_paid(receipt: str | None = "UKK0000001", *, amount: int = 1500, **fields: Any) -> Transaction:
    at = fields.pop("at", NOON)
    payment = make_transaction(
        status=Status.COMPLETED, mpesa_receipt_number=receipt, amount=amount, completed_at=at, **fields
    )
    Transaction.objects.filter(pk=payment.pk).update(created_at=at - timedelta(seconds=20))
    return payment


def found() -> list[tuple[str, str]]:
    return sorted(Finding.objects.filter(resolved_at=None).values_list("kind", "receipt"))


# The statement --------------------------------------------------------------------------------------------------


def test_a_statement_is_read_by_its_column_names() -> None:
    reading = read(
        line("UKK0000001", paid_in="1,500.00", account="7qk3m9txab34"),
        line("UKK0000001", withdrawn="-8.50", details="Pay merchant Charge", reason="Pay merchant Charge"),
        line("UKK0000002", paid_in="20", at="2026-11-20 12:00:01"),
        line("UKK0000003", paid_in="99.00", status="Failed"),
        line("UKK0000009", withdrawn="1,500.00", details="Pay Bill Reversal", linked="UKK0000001"),
    )
    rows = {(row.receipt, row.kind): row for row in Movement.objects.all()}
    assert set(rows) == {
        ("UKK0000001", "payment"),
        ("UKK0000001", "other"),
        ("UKK0000002", "payment"),
        ("UKK0000009", "reversal"),
    }
    paid = rows["UKK0000001", "payment"]
    assert (paid.cents_in, paid.account_reference, paid.completed_at) == (150_000, "7QK3M9TXAB34", NOON)
    assert rows["UKK0000001", "other"].cents_out == 850
    assert "JANE" not in paid.details
    assert (reading.state, reading.read_rows, reading.new_rows, reading.percent) == ("done", 4, 4, 100)
    assert (reading.covers_from, reading.covers_until) == (
        datetime(2026, 11, 19, 21, 0, tzinfo=UTC),
        datetime(2026, 11, 20, 20, 59, 59, tzinfo=UTC),
    )


def test_the_same_file_and_the_same_lines_change_nothing() -> None:
    one, two = line("UKK0000001", paid_in="10"), line("UKK0000002", paid_in="20")
    first = read(one)
    assert read(one).pk == first.pk
    assert (read(one, two).new_rows, Movement.objects.count()) == (1, 2)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([line("UKK0000001", paid_in="ten")], "Row 1"),
        ([line("UKK0000001", paid_in="1"), line("UKK0000002", paid_in="1", at="yesterday")], "Row 2"),
        ([line("?", paid_in="1")], "Row 1"),
        ([line("UKK0000001", paid_in="NaN")], "Row 1"),
        ([line("UKK0000001", paid_in="1.005")], "Row 1"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_nothing_is_compared(lines: list[str], words: str) -> None:
    with pytest.raises(StatementError, match=words):
        read(*lines)
    reading = Reading.objects.get()
    assert (reading.state, words in reading.problem) == ("failed", True)
    assert compare(reading) == 0


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" + b"\x00" * 500, b"%PDF-1.4\n%\xe2\xe3", b"a,b\n1,2\n"])
def test_what_is_no_statement_says_what_is_missing(data: bytes) -> None:
    with pytest.raises(StatementError):
        import_statement(io.BytesIO(data), name="x")


def test_an_import_that_was_cut_off_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "BATCH", 10)
    data = (PREAMBLE + HEADER + "".join(line(f"UKK{n:07d}", paid_in="10") for n in range(35))).encode()

    def pull_the_plug(reading: Reading) -> None:
        if reading.read_rows == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_statement(io.BytesIO(data), name="x", progress=pull_the_plug)
    cut_off = Reading.objects.get()
    assert (cut_off.state, cut_off.read_rows, Movement.objects.count()) == ("running", 20, 20)
    batches: list[int] = []
    reading = import_statement(io.BytesIO(data), name="x", progress=lambda reading: batches.append(reading.read_rows))
    assert (reading.pk, batches, reading.state) == (cut_off.pk, [30, 35], "done")
    assert (reading.new_rows, Movement.objects.count()) == (35, 35)


# Comparing ------------------------------------------------------------------------------------------------------


def test_what_matches_finds_nothing() -> None:
    make_paid()
    assert compare(read(line("UKK0000001", paid_in="1500"))) == 0


def test_a_payment_by_hand_may_share_its_reference() -> None:
    for number in (1, 2):
        make_paid(f"UKK000000{number}", channel="c2b", account_reference="7QK3M9TX", settled_by="c2b")
    lines = [line(f"UKK000000{number}", paid_in="1500", account="7QK3M9TX") for number in (1, 2)]
    assert compare(read(*lines)) == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [("missing_theirs", "UKK0000001")]),
        ([line("UKK0000001", paid_in="1499")], [("amount", "UKK0000001")]),
        ([line("UKK0000002", paid_in="1500", account="REF")], [("receipt", "UKK0000002")]),
        (
            [line("UKK0000001", paid_in="1500", account="REF"), line("UKK0000002", paid_in="1500", account="REF")],
            [("twice", "UKK0000002")],
        ),
        ([line("UKK0000001", paid_in="1500"), line("UKK0000003", paid_in="5")], [("missing_ours", "UKK0000003")]),
        (
            [
                line("UKK0000001", paid_in="1500"),
                line("UKK0000009", withdrawn="1500", details="Reversal", linked="UKK0000001"),
            ],
            [("reversed", "UKK0000009")],
        ),
    ],
)
def test_each_difference_is_one_finding(lines: list[str], expected: list[tuple[str, str]]) -> None:
    make_paid(account_reference="REF")
    reading = read(*lines, line("UKK0000100", withdrawn="5", details="Charge"))
    assert compare(reading) == len(expected)
    assert found() == expected
    assert compare(reading) == 0


def test_money_for_a_payment_that_failed_here_names_it() -> None:
    payment = make_transaction(status=Status.FAILED, reason=Reason.EXPIRED, account_reference="REF")
    compare(read(line("UKK0000002", paid_in="1500", account="REF")))
    assert Finding.objects.get().transaction == payment


def test_a_payment_whose_receipt_never_came_is_found_by_its_reference() -> None:
    make_paid(None, account_reference="REF")
    compare(read(line("UKK0000002", paid_in="1500", account="REF")))
    assert found() == [("receipt", "UKK0000002")]


def test_outside_the_period_nothing_is_missing() -> None:
    for at in (NOON - timedelta(days=1), NOON + timedelta(days=1), datetime(2026, 11, 19, 21, 1, tzinfo=UTC)):
        make_paid(f"UKK{at:%d%H%M}X", at=at)
    assert compare(read(line("UKK0000100", withdrawn="5", details="Charge"))) == 0


def test_two_readings_that_touch_leave_no_gap() -> None:
    make_paid(at=datetime(2026, 11, 20, 21, 0, 5, tzinfo=UTC))  # around midnight
    assert compare(read(line("UKK0000100", withdrawn="5", details="Charge"))) == 0
    next_day = PREAMBLE.replace("20-11-2026", "21-11-2026")
    assert compare(read(line("UKK0000101", withdrawn="5", details="Charge"), preamble=next_day)) == 1


def test_a_refund_of_ours_accounts_for_a_reversal_and_its_absence_is_found() -> None:
    user = User.objects.create_user("wanjiru")
    payment = make_paid()
    refund = Refund.objects.create(
        transaction=payment,
        environment=payment.environment,
        method="reversal",
        amount=1500,
        state="done",
        receipt="UKK0000009",
        requested_by=user,
        sent_at=NOON + timedelta(minutes=10),
        ended_at=NOON + timedelta(minutes=11),
    )
    paid = line("UKK0000001", paid_in="1500")
    compare(read(paid))
    assert found() == [("refund_missing", refund.receipt)]
    Finding.objects.all().delete()
    back = line("UKK0000009", withdrawn="-1500.00", details="Pay Bill Reversal", linked="UKK0000001")
    assert compare(read(paid, back)) == 0


def test_what_turns_up_later_is_closed_as_matched() -> None:
    make_paid()
    compare(read(line("UKK0000100", withdrawn="5", details="Charge")))
    assert found() == [("missing_theirs", "UKK0000001")]
    compare(read(line("UKK0000001", paid_in="1500")))
    assert found() == []
    assert Finding.objects.get().resolution


def test_another_environment_is_left_alone(settings: Any) -> None:
    make_paid(environment="sandbox")
    assert compare(read(line("UKK0000100", withdrawn="5", details="Charge"))) == 0


# Pull -----------------------------------------------------------------------------------------------------------


class Pulled:
    """Stands in for Pull Transactions: rows, two a page, and pages too large to be read."""

    def __init__(self, *rows: PulledRow) -> None:
        self.rows, self.windows = rows, []  # type: ignore[var-annotated]
        self.largest = timedelta(hours=48)

    def pull_transactions(self, *, start: datetime, end: datetime, offset: int = 0) -> list[PulledRow]:
        self.windows.append((start, end))
        if end - start > self.largest:
            raise OutcomeUnknown("too large")
        return [row for row in self.rows if start <= row.completed_at <= end][offset : offset + 2]


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> Pulled:
    now = timezone.now()
    rows = [
        PulledRow(f"UKP000000{n}", now - timedelta(minutes=30, seconds=n), Decimal("10.00"), f"REF{n}", "c2b")
        for n in range(5)
    ]
    fake = Pulled(*rows)
    monkeypatch.setattr(operator, "pull_transactions", fake.pull_transactions)
    return fake


def test_a_pull_reads_every_page_and_again_changes_nothing(pulled: Pulled) -> None:
    reading = pull()
    assert (reading.state, reading.read_rows, reading.new_rows) == ("done", 5, 5)
    assert compare(reading) == 5
    assert (pull().new_rows, compare(pull()), Movement.objects.count()) == (0, 0, 5)
    oldest = min(start for start, _end in pulled.windows)
    assert timezone.now() - oldest < timedelta(hours=48)


def test_a_page_that_cannot_be_read_is_asked_for_in_pieces(pulled: Pulled) -> None:
    pulled.largest = timedelta(minutes=10)
    assert pull(hours=2).read_rows == 5


def test_a_pull_that_fails_is_not_compared(pulled: Pulled, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled.largest = timedelta(seconds=1)
    with pytest.raises(OutcomeUnknown):
        pull(hours=1)
    assert (Reading.objects.get().state, compare(Reading.objects.get())) == ("failed", 0)

    def throttled(**asked: Any) -> list[PulledRow]:
        raise DarajaThrottled("429", "", Reason.BUSY)

    monkeypatch.setattr(operator, "pull_transactions", throttled)
    with pytest.raises(CommandError, match="throttled"):
        call_command("pull_transactions")


def test_pull_and_statement_agree_on_one_row(pulled: Pulled) -> None:
    pull()
    at = timezone.localtime(pulled.rows[0].completed_at)
    read(line("UKP0000000", paid_in="10.00", at=f"{at:%d-%m-%Y %H:%M:%S}", account="REF0"))
    assert Movement.objects.count() == 5


# The day, the letter, the pages ---------------------------------------------------------------------------------


def test_a_day_balances_when_both_sides_were_read_and_agree() -> None:
    make_paid()
    day = date(2026, 11, 20)
    assert not load_day(day).balances
    reading = read(line("UKK0000001", paid_in="1500"))
    compare(reading)
    shown = load_day(day)
    assert (shown.balances, shown.ours.amount, shown.theirs.amount) == (True, 1500, 1500.0)


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
