"""What a program writes into a document, between two markers; all else in it is a person's."""

from __future__ import annotations

from pathlib import Path

from tests.server import REPOSITORY

BENCHMARKS = REPOSITORY / "docs" / "benchmarks.md"
SCALING = REPOSITORY / "docs" / "scaling.md"


def put(path: Path, program: str, text: str) -> None:
    """Replace what `program` has written into a document before."""
    before, _, after = _parts(path, program)
    begin, end = _markers(program)
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")


def written(path: Path, program: str) -> str:
    """Return what `program` has written into a document."""
    return _parts(path, program)[1].strip()


def _markers(program: str) -> tuple[str, str]:
    return f"<!-- begin of what `{program}` writes -->", f"<!-- end of what `{program}` writes -->"


def _parts(path: Path, program: str) -> tuple[str, str, str]:
    begin, end = _markers(program)
    before, rest = path.read_text().split(begin)
    inside, after = rest.split(end)
    return before, inside, after
