"""What `make faults` keeps of its runs, what it does next, and what it writes of them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from tests.faults import record
from tests.faults.record import Record, spread, write_lines
from tests.faults.rig import __main__ as rig
from tests.faults.rig.profiles import TWO_ON_SERVICES, TWO_ON_SQLITE


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setattr(record, "REPOSITORY", tmp_path)
    return Record("results.jsonl")


def test_what_was_kept_is_read_again_by_the_next_command(results: Record) -> None:
    assert list(results) == []
    results.keep({"fault": "F1"})
    results.keep({"fault": "F2"})
    assert [each["fault"] for each in Record("results.jsonl")] == ["F1", "F2"]


def test_lines_take_the_place_of_those_between_the_marks_alone(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("before\n<!-- begin of what it writes -->\nold\n<!-- end of what it writes -->\nafter\n")
    write_lines(["one", "two"], of="it writes", document=document)
    assert document.read_text() == (
        "before\n<!-- begin of what it writes -->\none\ntwo\n<!-- end of what it writes -->\nafter\n"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [([], "-"), ([2.0], "2.0 · 2.0 · 2.0"), ([float(number) for number in range(100, -1, -1)], "50.0 · 99.0 · 100.0")],
)
def test_seconds_are_shown_by_median_percentile_and_worst(seconds: list[float], shown: str) -> None:
    assert spread(seconds, digits=1) == shown


def test_what_was_done_least_comes_first(results: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "RESULTS", results)
    results.keep({"profile": TWO_ON_SERVICES.name, "fault": "F11", "seed": 1})
    results.keep({"profile": TWO_ON_SQLITE.name, "fault": "F12", "seed": 1})
    wanted = rig._wanted(TWO_ON_SQLITE, Namespace(runs=2, faults=["F11", "F12", "F13"]))
    assert [(fault.number, seed) for fault, seed in wanted] == [
        ("F13", 1), ("F11", 1), ("F12", 2), ("F13", 2), ("F11", 2)
    ]  # fmt: skip
