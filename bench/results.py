"""What has been measured so far, in a file: each row as it ends, so that nothing is lost when the run is stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Line, Target

NEVER = "never"  # JSON has no number for what never came
OF_A_LINE = ("row", "figure", "unit", "papo", "floor", "naive", "note")


@dataclass
class Results:
    """The lines of each row with the cores that others kept busy meanwhile; `failed`: why a row has none."""

    about: dict[str, Any]
    measured: list[tuple[Line, float]] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, row: int, lines: Sequence[Line], *, others: float, seconds: float) -> None:
        self.failed.pop(row, None)
        self.seconds[row] = seconds
        self.measured += [(line, others) for line in lines]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {
            "seconds": {str(row): round(taken, 1) for row, taken in self.seconds.items()},
            "failed": {str(row): why for row, why in self.failed.items()},
        }
        document = {**self.about, **rows, "lines": [_as_json(line, others) for line, others in self.measured]}
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read(path: Path) -> Results:
    """Return what an earlier run wrote."""
    document = json.loads(path.read_text())
    measured = [(_line(fields), fields["cores_of_others"]) for fields in document.pop("lines")]
    seconds = {int(row): taken for row, taken in document.pop("seconds").items()}
    failed = {int(row): why for row, why in document.pop("failed").items()}
    return Results(document, measured, seconds, failed)


def _as_json(line: Line, others: float) -> dict[str, Any]:
    fields = {**asdict(line), "ratio": line.ratio, "verdict": line.verdict, "cores_of_others": round(others, 3)}
    return {name: NEVER if _is_infinite(value) else value for name, value in fields.items()}


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _line(fields: dict[str, Any]) -> Line:
    values = {name: math.inf if fields[name] == NEVER else fields[name] for name in OF_A_LINE}
    target = Target(**fields["target"]) if fields["target"] else None
    return Line(**values, target=target)
