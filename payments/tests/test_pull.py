"""Pull Transactions: every page, in pieces where one is too large, and never a list with holes."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from payments.books.compare import compare
from payments.books.pull import pull
from payments.daraja import operator
from payments.daraja.client import DarajaThrottled, OutcomeUnknown
from payments.daraja.operator import PulledRow
from payments.models import Movement, Reading, Reason
from payments.tests.mpesas_record import line, read

pytestmark = pytest.mark.django_db


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
