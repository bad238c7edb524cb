"""Import the organisation statement (CSV) as M-PESA's portal exports it: streamed, in batches, and resumable.

Lines about the organisation stand before the header, in no fixed number; columns are found by name. Dates come as
`25-11-2026 14:22:10` or `2026-11-25 14:22:10`, in Nairobi's time; what was withdrawn with a minus or without.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO, TextIO

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Max, Min
from django.utils import timezone
from django.utils.translation import gettext as _

from payments.books.movements import Line, keep
from payments.daraja.client import EAST_AFRICA_TIME
from payments.models import Reading

LONGEST_PREAMBLE = 60  # lines before the header
LONGEST_LINE = 64 * 1024  # characters; a real one has about 300
LONGEST_AMOUNT = 13  # digits before the point
YEARS = range(2000, 2100)  # M-PESA is of 2007
BATCH = 1000  # rows a database transaction
_CHUNK = 1024 * 1024  # bytes
_COLUMNS = {
    "receipt": ("receipt no.", "receipt no", "receipt"),
    "completed": ("completion time",),
    "details": ("details",),
    "status": ("transaction status",),
    "paid_in": ("paid in",),
    "withdrawn": ("withdrawn",),
    "reason": ("reason type",),
    "linked": ("linked transaction id",),
    "account": ("a/c no.", "a/c no", "account no."),
}
_NEEDED = ("receipt", "completed", "status", "paid_in", "withdrawn")
_FORMS = ("%d-%m-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%Y-%m-%d %H:%M")
_MOMENT = re.compile(r"\d{2,4}[-/]\d{2}[-/]\d{2,4}(?: \d{1,2}:\d{2}(?::\d{2})?)?")
_RECEIPT = re.compile(r"[A-Za-z0-9]{6,40}")
_COMPLETED = "completed"

Progress = Callable[[Reading], object]


class StatementError(Exception):
    """The file is no statement that can be read; the text says where and why. What was read before stays."""


def import_statement(
    file: BinaryIO, *, name: str, by: AbstractBaseUser | None = None, progress: Progress = lambda reading: None
) -> Reading:
    """Read a statement into the movements; given again, a file that was read to the end changes nothing.

    `progress` is called after every batch. Raises StatementError, after noting it on the reading.
    """
    reading = _reading(file, name, by)
    if reading.state == Reading.State.DONE:
        return reading
    try:
        _read(file, reading, progress)
    except StatementError as error:
        Reading.objects.filter(pk=reading.pk).update(state=Reading.State.FAILED, problem=str(error)[:250])
        raise
    _finish(reading)
    return reading


def _reading(file: BinaryIO, name: str, by: AbstractBaseUser | None) -> Reading:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    file.seek(0)
    reading, is_new = Reading.objects.get_or_create(
        environment=settings.MPESA_ENVIRONMENT,
        source=Reading.Source.STATEMENT,
        digest=digest.hexdigest(),
        defaults={"name": name[:120], "total_bytes": size, "started_by_id": by.pk if by else None},
    )
    if not is_new and reading.state == Reading.State.FAILED:
        reading.state = Reading.State.RUNNING
        reading.save(update_fields=["state"])
    return reading


def _read(file: BinaryIO, reading: Reading, progress: Progress) -> None:
    counted = _Counted(file)
    buffered: Any = io.BufferedReader(counted)
    rows = csv.reader(_lines(io.TextIOWrapper(buffered, "utf-8-sig", errors="replace", newline="")))
    try:
        columns, period = _header(rows)
        if period:
            Reading.objects.filter(pk=reading.pk).update(covers_from=period[0], covers_until=period[1])
        _keep_all(rows, columns, reading, counted, progress)
    except csv.Error as error:
        raise StatementError(_("This is not a CSV file: %(error)s.") % {"error": error}) from error


def _lines(text: TextIO) -> Iterator[str]:
    """Yield the lines, none of them endless: fifty million commas in one would be as many cells in memory."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise StatementError(_("This is not a statement: a line of it does not end."))
        yield line.replace("\0", "")  # which no database takes


class _Counted(io.RawIOBase):
    """Counts the bytes that were read, and leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.count = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def _header(rows: Iterator[list[str]]) -> tuple[dict[str, int], tuple[datetime, datetime] | None]:
    """Find the header; return each column's place, and the period if the lines before name one."""
    moments: list[tuple[datetime, bool]] = []
    for number, row in enumerate(rows):
        names = [cell.strip().lower() for cell in row]
        places = {
            column: names.index(found)
            for column, spellings in _COLUMNS.items()
            if (found := next((name for name in spellings if name in names), ""))
        }
        if all(column in places for column in _NEEDED):
            return places, _period(moments)
        moments += filter(None, map(_moment_or_day, _MOMENT.findall(" ".join(row))))
        if number >= LONGEST_PREAMBLE:
            break
    raise StatementError(
        _("No line has the columns Receipt No., Completion Time, Transaction Status, Paid In and Withdrawn.")
    )


def _moment_or_day(text: str) -> tuple[datetime, bool] | None:
    if moment := _moment(text):
        return moment, False
    day = _moment(f"{text} 00:00:00")
    return (day, True) if day else None


def _period(moments: list[tuple[datetime, bool]]) -> tuple[datetime, datetime] | None:
    """Return from and until when two moments are named; a day without a time lasts until its end."""
    if len(moments) < 2:
        return None
    first, (last, is_day) = min(moments)[0], max(moments)
    return first, last + timedelta(days=1) - timedelta(seconds=1) if is_day else last


def _keep_all(
    rows: Iterator[list[str]], columns: dict[str, int], reading: Reading, counted: _Counted, progress: Progress
) -> None:
    batch: list[Line] = []
    done, seen = reading.read_rows, 0
    for number, row in enumerate(rows, start=1):
        line = _line(row, columns, number)
        if line is None:
            continue
        seen += 1
        if seen <= done:
            continue  # an earlier attempt has kept it
        batch.append(line)
        if len(batch) == BATCH:
            _keep_batch(reading, batch, seen, counted, progress)
            batch = []
    _keep_batch(reading, batch, max(seen, done), counted, progress)


def _keep_batch(reading: Reading, batch: list[Line], seen: int, counted: _Counted, progress: Progress) -> None:
    keep(reading, batch, read_rows=seen, read_bytes=counted.count)
    reading.refresh_from_db()
    progress(reading)


def _line(row: list[str], columns: dict[str, int], number: int) -> Line | None:
    """Return a completed line; None for one that moved no money. Raises StatementError with the row's number."""

    def cell(column: str) -> str:
        place = columns.get(column, len(row))
        return row[place].strip() if place < len(row) else ""

    if not any(row) or cell("status").lower() != _COMPLETED:
        return None
    receipt, moment = cell("receipt").upper(), _moment(cell("completed"))
    cents_in, cents_out = _cents(cell("paid_in")), _cents(cell("withdrawn"))
    if not _RECEIPT.fullmatch(receipt) or moment is None or cents_in is None or cents_out is None:
        raise StatementError(_("Row %(number)d below the header cannot be read.") % {"number": number})
    return Line(
        receipt=receipt,
        completed_at=moment,
        cents_in=cents_in,
        cents_out=cents_out,
        details=_details(cell("details"), cell("reason")),
        linked_receipt=cell("linked").upper()[:40],
        account_reference=cell("account").upper()[:40],
    )


def _details(details: str, reason: str) -> str:
    """Return what it was for, without the payer: from "Pay Bill from 2547… - NAME Acc. X" only the beginning."""
    return " · ".join(part for part in (re.split(r" (?:from|to) (?=[\d*+]|- )", details)[0], reason) if part)[:120]


def _moment(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            moment = datetime.strptime(text.strip(), form).replace(tzinfo=EAST_AFRICA_TIME)
        except ValueError:
            continue
        return moment if moment.year in YEARS else None  # at the ends of the calendar UTC has no such moment
    return None


def _cents(text: str) -> int | None:
    """Return cents from `1,020.00`, `-60.00` or nothing at all; None for anything else."""
    if not text:
        return 0
    try:
        amount = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return None
    # 1E+999999 is a number too, and its digits would fill the memory.
    if not amount.is_finite() or not -3 < amount.adjusted() < LONGEST_AMOUNT:
        return None
    cents = abs(amount) * 100
    return int(cents) if cents == int(cents) else None


def _finish(reading: Reading) -> None:
    """Close the reading; without a period in the file, it covers from its first line to its last."""
    reading.refresh_from_db()
    if reading.covers_from is None:
        seen = reading.movements.aggregate(first=Min("completed_at"), last=Max("completed_at"))
        reading.covers_from, reading.covers_until = seen["first"], seen["last"]
    reading.state, reading.ended_at, reading.problem = Reading.State.DONE, timezone.now(), ""
    reading.read_bytes = reading.total_bytes
    reading.save()
