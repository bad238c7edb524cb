"""What long runs have shown: a file below var/ with one JSON object a line, and their tables in docs/reliability.md."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.server import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "reliability.md"


class Record:
    """The results of one command, to which a run that was cut off is added later; any thread may write."""

    def __init__(self, name: str) -> None:
        self.path: Path = REPOSITORY / "var" / name
        self._lock = threading.Lock()

    def keep(self, result: dict[str, Any]) -> None:
        """Add what a finished run showed, with the minute (UTC) in which it ended."""
        line = json.dumps({"at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), **result})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.path.open("a") as file:
            file.write(f"{line}\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.path.exists():
            yield from map(json.loads, self.path.read_text().splitlines())


def write_lines(lines: Iterable[str], *, of: str, document: Path = DOCUMENT) -> None:
    """Put `lines` between the two marks in the document that name `of`, in the place of what stood there."""
    begin, end = f"<!-- begin of what {of} -->", f"<!-- end of what {of} -->"
    before, rest = document.read_text().split(f"{begin}\n")
    after = rest.split(end)[1]
    document.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}")


def spread(seconds: Iterable[float], *, digits: int) -> str:
    """Return median, 99th percentile and worst of some seconds; a dash where there are none."""
    values = sorted(seconds)
    if not values:
        return "-"
    percentiles = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return " · ".join(f"{value:.{digits}f}" for value in (percentiles[49], percentiles[98], values[-1]))
