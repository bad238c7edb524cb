"""`make abuse` in short: some of every class; and a server without one of its guards, which has to be noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.abuse.rig.attacks import ATTACKS
from tests.server import REPOSITORY

PROFILE = "services" if "PAPO_TEST_SERVICES" in os.environ else "sqlite"
SOME = 0.01  # of the full number, and of that the first part of each class
GENERATED = "valid token: generated"


def _attack(directory: Path, *options: str, share: float = SOME) -> tuple[int, list[dict[str, Any]]]:
    """Run it, and return its exit status and what each part came to."""
    results = directory / "abuse.jsonl"
    command = [sys.executable, "-m", "tests.abuse", f"--share={share}", f"--results={results}", "--parts=1", *options]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    told: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 600, "check": False}
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, **told)
    parts = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    assert parts, ran.stdout + ran.stderr
    return ran.returncode, parts


def test_some_of_every_class_changes_nothing(tmp_path: Path) -> None:
    status, parts = _attack(tmp_path, f"--profile={PROFILE}")
    assert [part["evidence"] for part in parts if part["evidence"]] == []
    assert status == 0
    assert {part["attack"] for part in parts} == {attack.name for attack in ATTACKS if not attack.limited}


@pytest.mark.long
def test_some_scenarios_of_limits_and_passwords_let_nobody_through(tmp_path: Path) -> None:
    status, parts = _attack(tmp_path, f"--profile={PROFILE}", "--limited=yes", share=0.1)
    assert [part["evidence"] for part in parts if part["evidence"]] == []
    assert status == 0


@pytest.mark.long
@pytest.mark.parametrize(("guard", "attack"), [("token", "callback, forged"), ("transition guard", GENERATED)])
def test_it_notices_that_a_guard_is_missing(tmp_path: Path, guard: str, attack: str) -> None:
    status, parts = _attack(tmp_path, "--profile=sqlite", f"--only={attack}", f"--without={guard}", share=0.1)
    assert status == 1
    assert sum(part["changes"] for part in parts) > 0
