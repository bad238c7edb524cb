"""docs/scaling.md: its limits are the code's, its figures follow from those measured, and nothing is made up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import settings
from bench import document, growth, scaling
from bench.growth import COSTS, AtStored
from bench.scaling import (
    PROGRAM,
    costs_table,
    limits,
    limits_table,
    needs,
    needs_table,
    read,
    shop_for,
    simulated,
    stored_table,
)
from realtime import live_socket
from realtime.audience import SOCKETS_PER_PROCESS

REPOSITORY = Path(__file__).resolve().parent.parent
MEASURED = read(COSTS)


@pytest.mark.parametrize("table", [costs_table, needs_table, limits_table])
def test_the_document_shows_what_the_script_says(table: scaling.Table) -> None:
    assert table(MEASURED) in document.written(document.SCALING, PROGRAM)


def test_a_callback_is_shown_at_each_number_of_stored_payments() -> None:
    stored = [AtStored(count, callback_ms=4.0, postgresql_ms=ms, p50_ms=9.0) for count, ms in ((10, 1.0), (1000, 1.5))]
    table = stored_table(replace(MEASURED, stored=stored))
    assert "| CPU, ms | 10 payments stored | 1,000 payments stored | grows |" in table
    assert "| callback: PostgreSQL | 1.00 | 1.50 | 1.50× |" in table


def test_the_document_shows_what_the_simulation_says() -> None:
    first = scaling.simulation_table(MEASURED, crowds=scaling.CUSTOMERS[:1])
    assert first in document.written(document.SCALING, PROGRAM)


def test_the_limits_are_those_of_the_code() -> None:
    assert scaling.SOCKETS_PER_PROCESS == SOCKETS_PER_PROCESS
    assert growth.HEARTBEAT_SECONDS == scaling.HEARTBEAT_SECONDS == live_socket.HEARTBEAT_SECONDS
    source = (REPOSITORY / "settings.py").read_text()
    assert f'"max_size": {scaling.CONNECTIONS_PER_PROCESS},' in source
    pushes = f"{scaling.PUSHES_PER_SECOND}, most={scaling.MOST_PUSHES_PER_SECOND}"
    assert f'PUSHES_PER_SECOND = env.number("PUSHES_PER_SECOND", {pushes})' in source
    assert settings.PUSHES_PER_SECOND == scaling.PUSHES_PER_SECOND
    nginx = (REPOSITORY / "deploy/nginx/papo.conf.template").read_text()
    assert f"zone=papo_callbacks:1m rate={scaling.NGINX_CALLBACKS_PER_SECOND}r/s" in nginx
    waiting = f"{scaling.WAITING_BYTES} bytes"
    assert waiting in (REPOSITORY / "docs/accessibility.md").read_text()


def test_several_sizes_were_measured() -> None:
    sizes = [each.sockets for each in MEASURED.sockets]
    assert sizes == sorted(sizes)
    assert sizes[-1] >= 10 * sizes[0]
    assert MEASURED.full.kilobytes


def test_a_need_is_its_cost_times_its_crowd() -> None:
    by_name = {need.name: need.values for need in needs(MEASURED)}
    each = MEASURED.full.callback_ms / 1000
    expected = [customers / 60 * each for customers in scaling.CUSTOMERS]
    assert by_name["worker cores for callbacks"] == pytest.approx(expected)


def test_the_first_limit_to_break_comes_first() -> None:
    customers = [limit.customers for limit in limits(MEASURED)]
    assert customers == sorted(customers)
    assert len(set(customers)) > 1


def test_a_shop_that_was_made_for_its_crowd_can_serve_it() -> None:
    steps = MEASURED.steps()
    shop = shop_for(10_000, steps)
    outcome = simulated(10_000, shop, steps)
    assert outcome.is_stable
    assert max(outcome.busy.values()) < scaling.FULLEST * 1.1


@pytest.mark.long
@pytest.mark.browser  # it starts its own services, so once is enough
def test_costs_can_be_measured_anew(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.growth", "--quick", "--json", str(tmp_path / "costs.json")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    costs = read(tmp_path / "costs.json")
    assert [each.sockets for each in costs.sockets] == list(growth.QUICK.sockets)
    assert [each.stored for each in costs.stored] == list(growth.QUICK.stored)
    assert all(each.callback_ms > 0 for each in (*costs.sockets, *costs.stored))
