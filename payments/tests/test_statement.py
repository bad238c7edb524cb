"""The organisation statement: read by names, in batches, and never half believed."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from payments.books import statement
from payments.books.compare import compare
from payments.books.statement import StatementError, import_statement
from payments.models import Movement, Reading
from payments.tests.mpesas_record import HEADER, NOON, PREAMBLE, line, read

pytestmark = pytest.mark.django_db


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
        ([line("UKK0000001", paid_in="1E+999999")], "Row 1"),  # a million digits, once it is an integer
        ([line("UKK0000001", paid_in="1E+9999999")], "Row 1"),  # beyond what Decimal computes with
        ([line("UKK0000001", paid_in="1E-9999999")], "Row 1"),
        ([line("UKK0000001", paid_in="1", at="01-01-0001 00:00:00")], "Row 1"),  # in UTC before the first day
        ([line("UKK0000001", paid_in="1", at="31-12-9999 23:59:59")], "Row 1"),
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


@pytest.mark.parametrize("bomb", ["," * 200_000, '"' + "x" * 200_000, HEADER + "," * 200_000])
def test_a_line_without_an_end_is_not_read_into_memory(bomb: str) -> None:
    with pytest.raises(StatementError, match="does not end"):
        import_statement(io.BytesIO(bomb.encode()), name="x")


def test_what_no_database_takes_is_left_out() -> None:
    reading = read(line("UKK0000001", paid_in="10", details="Pay\0 Bill\0", account="7QK3\0M9TX"), preamble="\0\0\n")
    movement = Movement.objects.get()
    assert (reading.state, movement.details) == ("done", "Pay Bill · Pay Bill Online")
    assert movement.account_reference == "7QK3M9TX"


def test_a_period_that_ends_with_the_calendar_is_no_period() -> None:
    assert read(line("UKK0000001", paid_in="10"), preamble="From 01-01-2026 To 31-12-9999\n").covers_until is not None


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


def test_two_who_import_one_file_at_once_skip_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "BATCH", 10)
    data = (PREAMBLE + HEADER + "".join(line(f"UKK{n:07d}", paid_in="10") for n in range(45))).encode()

    def stop_at(rows: int) -> Any:
        def progress(reading: Reading) -> None:
            if reading.read_rows == rows:
                raise KeyboardInterrupt

        return progress

    def other_begins(reading: Reading) -> None:
        if reading.read_rows == 10:
            with pytest.raises(KeyboardInterrupt):
                import_statement(io.BytesIO(data), name="x", progress=stop_at(30))
        elif reading.read_rows == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_statement(io.BytesIO(data), name="x", progress=other_begins)
    reading = import_statement(io.BytesIO(data), name="x")
    assert (reading.state, reading.read_rows, Movement.objects.count()) == ("done", 45, 45)
