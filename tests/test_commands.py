"""What commands say to whoever has not prepared the database: one line with what to run, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import RunningServer, own_database

# Each in the same process: to load Django costs more than all of them.
ASK = """
import django
django.setup()
from django.core.management import CommandError, call_command
for command in %r:
    try:
        call_command(*command)
    except CommandError as error:
        print(command[0], error, sep=": ")
"""
STATEMENT = """Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance\n"""
SHOPS = ["reconcile_payments", "close_day", "pull_transactions", "seed_demo"]


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[RunningServer]:
    """A shop whose database has no tables."""
    with own_database() as urls:
        yield RunningServer(tmp_path, **urls)


def _said(shop: RunningServer, commands: list[list[str]]) -> list[str]:
    environment = {**shop._environment(), "DJANGO_SETTINGS_MODULE": "settings"}
    program = [sys.executable, "-c", ASK % commands]
    told = subprocess.run(program, cwd=shop.project, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()


def test_before_the_first_migration_commands_say_what_to_run(nowhere: RunningServer) -> None:
    (nowhere.directory / "statement.csv").write_text(STATEMENT)
    commands = [
        *([name] for name in SHOPS),
        ["reconcile_payments", "--loop"],
        ["import_statement", str(nowhere.directory / "statement.csv")],
        ["purge_callbacks", "--older-than", "30"],
        ["anonymise_payments", "--older-than", "365"],
    ]
    said = _said(nowhere, commands)
    assert [line.split(":")[0] for line in said] == [command[0] for command in commands]
    for line in said:
        assert "The database lacks" in line
        assert line.endswith("Run: python manage.py migrate")


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    away = RunningServer(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'nowhere' / 'shop.sqlite3'}")
    (line,) = _said(away, [["close_day"]])
    assert line.startswith("close_day: DATABASE_URL names a database that does not answer")
