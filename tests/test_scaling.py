"""The paper model of docs/scaling.md: its limits are the code's, its figures were measured, and nothing is made up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import settings
from bench import scaling
from bench.scaling import Figure, Figures, figures_of, limits, rows, table
from realtime import consumers
from realtime.audience import SOCKETS_PER_PROCESS

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = {path.name: path.read_text() for path in (REPOSITORY / "docs").glob("*.md")}


def test_the_document_shows_what_the_script_says() -> None:
    needs, first_limits = table(Figures()).split("\n\n")
    assert needs in DOCUMENTS["scaling.md"]
    assert first_limits in DOCUMENTS["scaling.md"]


def test_every_figure_stands_where_it_was_measured() -> None:
    figures = vars(Figures()).values()
    for figure in figures:
        named = re.match(r"row \d+, docs/([a-z-]+\.md)", figure.source)
        assert named
        assert f"{figure.value:g} " in DOCUMENTS[named[1]]


def test_the_limits_are_those_of_the_code() -> None:
    assert scaling.SOCKETS_PER_PROCESS == SOCKETS_PER_PROCESS
    assert scaling.HEARTBEAT_SECONDS == consumers.HEARTBEAT_SECONDS
    source = (REPOSITORY / "settings.py").read_text()
    assert f'"max_size": {scaling.CONNECTIONS_PER_PROCESS},' in source
    pushes = f"{scaling.PUSHES_PER_SECOND}, most={scaling.MOST_PUSHES_PER_SECOND}"
    assert f'PUSHES_PER_SECOND = env.number("PUSHES_PER_SECOND", {pushes})' in source
    assert settings.PUSHES_PER_SECOND == scaling.PUSHES_PER_SECOND
    nginx = (REPOSITORY / "deploy/nginx/papo.conf.template").read_text()
    assert f"zone=papo_callbacks:1m rate={scaling.NGINX_CALLBACKS_PER_SECOND}r/s" in nginx


def test_what_nobody_measured_has_no_cell() -> None:
    nothing = Figure(None, "KB per open socket", "row 6")
    row = next(row for row in rows(Figures(memory=nothing)) if row.name == "app memory for sockets")
    assert row.cells == [None, None, None]
    assert "not measured (row 6)" in row.how


def test_a_run_of_the_benchmark_is_taken_instead(tmp_path: Path) -> None:
    lines = [{"row": 3, "papo": 200.0}, {"row": 6, "papo": 30.0}, {"row": 6, "papo": 99.0}, {"row": 7, "papo": None}]
    (tmp_path / "run.json").write_text(json.dumps({"lines": lines}))
    figures = figures_of(tmp_path / "run.json")
    assert (figures.callback.value, figures.memory.value) == (200.0, 30.0)
    assert (figures.opening, figures.naive_poll) == (Figures().opening, Figures().naive_poll)
    needs = {row.name: row.cells for row in rows(figures)}
    assert needs["app memory for sockets"] == pytest.approx([0.3, 3, 30])
    assert needs["app cores for callbacks"][1] == pytest.approx(100_000 / 60 * 0.005)


def test_the_first_limit_to_break_comes_first() -> None:
    customers = [limit.customers for limit in limits()]
    assert customers == sorted(customers)
    assert len(set(customers)) > 1
