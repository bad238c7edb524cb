"""The figures as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import Line

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


def write_json(path: Path, about: dict[str, Any], measured: Sequence[tuple[Line, float]]) -> None:
    lines = [_as_json(line, strangers) for line, strangers in measured]
    path.write_text(json.dumps({**about, "lines": lines}, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _as_json(line: Line, strangers: float) -> dict[str, Any]:
    fields = {**asdict(line), "ratio": line.ratio, "verdict": line.verdict, "cores_of_others": round(strangers, 3)}
    # What never came has no number in JSON.
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in fields.items()}
