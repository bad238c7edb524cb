"""The comparisons of servers and of channel layers measure each of them, and say so beside each other."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import edges
from bench.apps import App, floor_app
from bench.comparison import Comparison
from tests.server import REPOSITORY

ENOUGH = 600  # seconds for a quick run on a machine that has other things to do


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[App]:
    with floor_app(tmp_path, payments=2) as app:
        yield app


def test_each_way_has_a_column_and_each_figure_a_line() -> None:
    found = Comparison(["one", "other"])
    found.median("p50", "one", [3.0, 1.0, 2.0])
    found.put("p50", "other", math.inf)
    found.put("answer", "other", "413, 0")
    assert found.table().splitlines()[2:] == ["| p50 | 2.00 | never |", "| answer | – | 413, 0 |"]


def test_a_callback_in_chunks_arrives_whole(floor: App) -> None:
    assert edges.post_in_chunks(floor) == "200"


def test_what_a_process_holds_while_it_is_watched_counts() -> None:
    held = subprocess.Popen([sys.executable, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert held.stdin
    assert held.stdout
    held.stdout.readline()
    peak = edges.Peak(held.pid)
    held.stdin.write(b"\n")
    held.stdin.flush()
    held.stdout.readline()
    assert peak.stop() >= 25
    held.kill()
    held.wait()


GROWS = """
import time
print(flush=True)
input()
held = b"x" * 30_000_000
time.sleep(0.3)
print(flush=True)
time.sleep(60)
"""


@pytest.mark.long
@pytest.mark.browser  # it starts its own services, so once is enough
@pytest.mark.parametrize("module", ["bench.servers", "bench.layers"])
def test_a_quick_run_has_every_figure_of_every_way(tmp_path: Path, module: str) -> None:
    command = [sys.executable, "-m", module, "--quick", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=ENOUGH, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert figures
    assert {len(values) for values in figures.values()} == {3}
