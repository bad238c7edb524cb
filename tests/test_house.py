"""What holds the house together and no single part can check."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import settings
from environment import example_values

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE = REPOSITORY / ".env.example"
LONGEST_FUNCTION = 40  # lines
SHOWN = re.compile(r"# ([A-Z][A-Z_]+)=(.*)")


def _shown() -> dict[str, str]:
    return {line[1]: line[2] for line in map(SHOWN.fullmatch, EXAMPLE.read_text().splitlines()) if line}


def _sources(*, tests: bool = False) -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [REPOSITORY / name for name in names if tests or not re.search(r"(^|/)(tests|migrations)/|^bench/", name)]


def test_example_lists_exactly_the_variables_the_settings_read() -> None:
    assert set(_shown()) == settings.env.names_read


def test_every_variable_of_the_example_has_one_comment_above_it() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if SHOWN.fullmatch(line):
            comment = lines[number - 1]
            assert comment.startswith("# "), line
            assert not SHOWN.fullmatch(comment), line


@pytest.mark.parametrize("name", ["SECRET_KEY", "CALLBACK_SECRET"])
def test_the_secrets_of_the_example_are_refused(name: str) -> None:
    assert len(_shown()[name]) >= 32
    assert _shown()[name] in example_values(EXAMPLE)
