"""A week of payments and a statement with planted errors: every one is found, none is invented."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from payments.books.compare import compare
from payments.books.statement import import_statement
from payments.models import Finding, Movement, Reading
from tests.books.week import FOUND_AS, as_findings, date_back, make_week, write_statement

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _ledger(settings: Any, tmp_path: Path) -> None:
    settings.SIMULATOR_RECORD = tmp_path / "simulator.sqlite3"


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def megabytes(name: str) -> float:
    """Return one of the process's sizes as Linux tells it: VmRSS is now, VmHWM the most since it was forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def read(path: Path) -> tuple[Reading, int]:
    with path.open("rb") as file:
        reading = import_statement(file, name=path.name)
    return reading, compare(reading)


def check_week(path: Path, payments: int, share: float) -> None:
    make_week(payments)
    date_back()
    planted = write_statement(path, share)
    assert {kind for kind, _receipt in planted} == set(FOUND_AS), "the week is too small for all six kinds"

    forget_peak()
    before, began = megabytes("VmRSS"), time.perf_counter()
    reading, new = read(path)
    seconds, more = time.perf_counter() - began, megabytes("VmHWM") - before
    print(f"\n{payments:,} payments, {len(planted)} errors: {seconds:.1f} s, at most {more:.1f} MB more memory")

    found = Counter((finding.kind, finding.receipt) for finding in Finding.objects.all())
    assert found == as_findings(planted)
    assert new == len(planted)
    rows = Movement.objects.count()
    assert read(path)[1] == 0
    assert compare(reading) == 0
    assert (Finding.objects.count(), Movement.objects.count()) == (len(planted), rows)


def test_every_planted_error_is_found_and_none_invented(tmp_path: Path) -> None:
    check_week(tmp_path / "week.csv", payments=800, share=0.08)


def test_a_true_statement_finds_nothing(tmp_path: Path) -> None:
    make_week(300)
    date_back()
    assert write_statement(tmp_path / "week.csv", 0) == []
    reading, new = read(tmp_path / "week.csv")
    assert (new, reading.new_rows, Finding.objects.count()) == (0, 300, 0)


@pytest.mark.long
def test_a_week_of_fifty_thousand_payments(tmp_path: Path) -> None:
    check_week(tmp_path / "week.csv", payments=50_000, share=0.01)
