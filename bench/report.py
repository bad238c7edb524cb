"""The figures as a table for people, in a terminal and in docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.figures import Line
from bench.results import Results

HEAD = ["row", "figure", "Papo", "floor", "ratio", "naive", "must", "goal", "", "others busy"]


def table(measured: Sequence[tuple[Line, float]]) -> str:
    """Return a table that reads in a terminal and in Markdown; with each line the cores that others kept busy."""
    rows = [HEAD, *(_cells(line, strangers) for line, strangers in measured)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_row(cells, widths) for cells in rows]
    lines.insert(1, _row(["-" * width for width in widths], widths))
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _cells(line: Line, strangers: float) -> list[str]:
    unit = f" {line.unit}" if line.unit == "ms" else ""
    bounds = line.target.bounds() if line.target else []
    return [
        str(line.row),
        line.figure,
        _number(line.papo, unit),
        _number(line.floor, unit),
        _number(line.ratio, "×"),
        _number(line.naive, unit) + (f" ({line.naive_ratio:.1f}×)" if line.naive_ratio else ""),
        *(bounds or ["", ""]),
        line.verdict,
        f"{strangers:.2f} cores",
    ]


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if math.isinf(value):
        return "never"
    return f"{value}{unit}" if isinstance(value, int) else f"{value:.2f}{unit}"


def notes(measured: Sequence[tuple[Line, float]]) -> list[str]:
    return [f"Row {line.row}: {line.note}." for line, _ in measured if line.note]


def in_words(found: Results) -> str:
    """Return the run as docs/benchmarks.md shows it."""
    return "\n".join([_run_in_words(found), "", table(found.measured), _remarks(found)])


def _run_in_words(found: Results) -> str:
    about = found.about
    loads = (
        f"load average {about['load_average_at_the_start']} at the start, {about['load_average_at_the_end']} at the end"
    )
    taken = f"{sum(found.seconds.values()) / 60:.0f} minutes"
    return f"{about['measured_at']}, {about['machine']}; {loads}; {taken}."


def _remarks(found: Results) -> str:
    """Return what has to be said about single rows, as a list of Markdown."""
    said = notes(found.measured) + [f"Row {row} could not be measured." for row in sorted(found.failed)]
    return "".join(f"\n- {text}" for text in said)
