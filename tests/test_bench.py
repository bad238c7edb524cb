"""The benchmark measures what it says. What it measures is no test: a busy machine would fail it."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from bench import crowds, document, load, results
from bench.__main__ import ROWS, main
from bench.apps import App, floor_app
from bench.figures import Line, Target, percentile
from bench.report import in_words, table
from bench.results import Results
from bench.wire import Refused
from tests.server import REPOSITORY

ENOUGH = 900  # seconds for a quick run on a machine that has other things to do


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[App]:
    with floor_app(tmp_path, payments=5) as app:
        yield app


BROUGHT = {3: (3, 4), 6: (6, 7)}  # rows that come with another
SOON = (1, 2, 11, 12, 13, 15, 20)  # what fits into `make test`


@pytest.mark.browser  # row 13 drives one; and it starts its own services, so once is enough
@pytest.mark.parametrize(
    "rows",
    [SOON, pytest.param(tuple(row for row in ROWS if row not in SOON), marks=pytest.mark.long)],
    ids=["push", "capacity"],
)
def test_a_quick_run_prints_every_row(tmp_path: Path, rows: tuple[int, ...]) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--quick", "--json", str(figures), "--rows", *map(str, rows)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=ENOUGH, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads(figures.read_text())["lines"]
    assert {line["row"] for line in lines if line["verdict"]} == {
        each for row in rows for each in BROUGHT.get(row, [row])
    }
    assert all(line["floor"] > 0 for line in lines if line["row"] in {1, 12} and line["verdict"])
    for line in lines:
        assert f"| {line['row']:<3} | {line['figure']}" in done.stdout


def test_every_callback_is_timed_from_its_sending_to_its_frame(floor: App) -> None:
    sample = asyncio.run(load.run_load(floor, 5, rate=100, seed=1))
    assert (len(sample.frames), len(sample.answers), sample.lost) == (5, 5, 0)
    assert all(0 < seconds < load.PATIENCE for seconds in sample.frames)


def test_a_page_that_never_hears_counts_as_lost(floor: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.5)
    told, *others = floor.take(5)
    floor.payments = iter([told, *(replace(payment, callback_path=told.callback_path) for payment in others)])
    assert asyncio.run(load.count_lost_pages(floor, 5, rate=100, idle_seconds=0)) == len(others)


def test_a_callback_that_is_refused_ends_the_measurement(floor: App) -> None:
    floor.payments = iter([replace(payment, body={}) for payment in floor.take(5)])
    with pytest.raises(Refused):
        asyncio.run(load.run_load(floor, 5, rate=100, seed=1))


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1, 100)])
def test_percentiles_are_values_that_occurred(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


@pytest.mark.parametrize(("papo", "verdict"), [(2.5, "goal reached"), (4.0, "ok"), (4.1, "missed")])
def test_a_figure_is_judged_by_its_ratio_to_the_floor(papo: float, verdict: str) -> None:
    assert Line(1, "figure", "ms", papo, floor=2.0, target=Target(must=2.0, goal=1.25)).verdict == verdict


def test_a_figure_without_a_floor_is_judged_by_itself() -> None:
    assert [Line(11, "lost", "sockets", lost, target=Target(0, 0)).verdict for lost in (0, 1)] == [
        "goal reached",
        "missed",
    ]


def test_a_push_that_never_came_is_said_so(tmp_path: Path) -> None:
    line = Line(1, "figure", "ms", math.inf, floor=2.0, target=Target(must=2.0, goal=1.25))
    found = Results({})
    found.add(1, [line], others=0.0, seconds=1.0)
    found.write(tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text())["lines"][0]["papo"] == "never"
    assert "| never" in table(results.read(tmp_path / "figures.json").measured)


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    found = Results({"machine": "a machine"}, failed={11: "the server ended"})
    found.add(20, [Line(20, "page", "bytes", 28_000, target=Target(30_720, 26_624, over=""))], others=0.0, seconds=9.0)
    found.write(tmp_path / "figures.json")
    assert results.read(tmp_path / "figures.json") == found


def test_a_row_is_left_out_that_would_end_too_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.__main__.forget_settings", lambda: None)  # they are the other tests' too
    monkeypatch.setattr("bench.__main__.running_services", lambda durable: nullcontext({}))
    assert main(["--rows", "20", "--minutes", "0.1", "--json", str(tmp_path / "figures.json")]) == 0
    assert "Row 20 is left out" in capsys.readouterr().out


def test_the_document_shows_the_run_between_its_markers(tmp_path: Path) -> None:
    about = {"measured_at": "a day", "machine": "a machine"}
    found = Results(about | {"load_average_at_the_start": "0", "load_average_at_the_end": "1"}, failed={11: "away"})
    found.add(1, [Line(1, "a figure", "ms", 3.0, floor=2.0, target=Target(2, 1.25))], others=0.0, seconds=60.0)
    path = tmp_path / "benchmarks.md"
    begin, end = (f"<!-- {word} of what `make bench` writes -->" for word in ("begin", "end"))
    path.write_text(f"before\n{begin}\nan older run\n{end}\nafter\n")
    for _ in range(2):
        document.put(path, "make bench", in_words(found))
    text = path.read_text()
    assert text.startswith(f"before\n{begin}\na day, a machine;")
    assert "| 1   | a figure | 3.00 ms | 2.00 ms | 1.50× |" in text
    assert "an older run" not in text
    assert text.endswith(f"- Row 11 could not be measured.\n{end}\nafter\n")


def test_every_callback_of_a_rolling_crowd_is_timed(floor: App) -> None:
    sample = asyncio.run(load.run_rolling(floor, 3, window=2, rate=100, seed=1))
    assert (len(sample.frames), len(sample.answers), sample.lost) == (3, 3, 0)


def test_a_change_is_timed_at_every_socket_that_shows_it(floor: App) -> None:
    sample = asyncio.run(crowds.run_fan_out(floor, 7))
    assert (len(sample.frames), sample.lost) == (7, 0)
    assert all(0 < seconds < crowds.SHOWN_WITHIN for seconds in sample.frames)


def test_a_page_that_comes_back_and_is_not_told_is_never_true(floor: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "TRUE_WITHIN", 5.0)
    found = asyncio.run(crowds.run_storm(floor, 5, seed=1))  # one is paid while it is away, and the floor greets nobody
    assert (sum(map(math.isinf, found.true_after)), found.refused) == (1, 0)
