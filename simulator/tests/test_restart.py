"""The record outlives the process: what was due is delivered by the next one, and nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from django.conf import settings as django_settings

from simulator import courier, prompts, record, settling
from simulator.scenarios import Outcome
from simulator.tests.conftest import PHONE, eventually

A_SHORT_LIFE = (
    "import django, time; django.setup()\n"
    "from simulator import courier\n"
    "courier.wake_if_needed()\n"
    "while courier.next_due() is not None: time.sleep(0.01)\n"
    "courier.stop()\n"
)


def _push(shop) -> prompts.Prompt:
    return prompts.open_prompt(
        prompts.Push(PHONE, 1500, "7QK2M9TX", "Order", prompts.PAY_BILL, "174379", "174379", shop.url)
    )


def _in_another_process(tmp_path) -> None:
    environment = {**os.environ, "SIMULATOR_RECORD": str(tmp_path / "simulator.sqlite3")}
    command = [sys.executable, "-c", A_SHORT_LIFE]
    subprocess.run(command, env=environment, cwd=django_settings.BASE_DIR, check=True, timeout=60)


def test_another_process_delivers_what_this_one_left(shop, tmp_path):
    settling.settle(_push(shop).id, Outcome.PAID)
    assert not shop.received
    _in_another_process(tmp_path)
    assert shop.wait_for(1)[0]["ResultCode"] == 0
    assert courier.next_due() is None


def test_another_process_ends_a_prompt_whose_time_is_over(shop, tmp_path, settings):
    settings.SIMULATOR_PROMPT_SECONDS = 0
    _push(shop)
    _in_another_process(tmp_path)
    assert shop.wait_for(1)[0]["ResultCode"] == 1037


def test_the_first_request_after_a_restart_resumes_the_deliveries(shop, client):
    from django.apps import apps

    settling.settle(_push(shop).id, Outcome.PAID)
    apps.get_app_config("simulator").ready()
    client.get("/simulator/api/")
    assert shop.wait_for(1)[0]["ResultCode"] == 0


def test_without_anything_left_no_thread_is_started():
    courier.wake_if_needed()
    assert not record.exists()
    assert not courier._crew.threads


def test_a_callback_that_was_under_way_at_a_crash_is_not_sent_again(shop):
    settling.settle(_push(shop).id, Outcome.PAID)
    with record.writing() as db:
        db.execute("UPDATE deliveries SET state = 'sending', sent_at = ?", [time.time()])
    assert courier.next_due() is None
    assert not courier.step()


def test_all_couriers_together_send_each_callback_once(shop, settings):
    settings.SIMULATOR_CALLBACK_SECONDS = 0
    for _ in range(20):
        settling.settle(_push(shop).id, Outcome.PAID)
    courier.wake()
    shop.wait_for(20)
    eventually(lambda: courier.next_due() is None)
    assert len({body for _, _, body, _ in shop.received}) == len(shop.received) == 20


def test_a_reset_forgets_everything_but_the_token(daraja, control):
    daraja.accepted()
    control.answer(pin="1234", delivery="lost")
    control.post("reset/")
    totals = control.get("")
    assert totals.pop("tokens_issued") == 1
    assert set(totals.values()) == {0}
    daraja.accepted()


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "1e9"])
def test_a_duration_that_cannot_be_read_is_named_and_its_default_used(settings, value):
    from simulator import configuration

    settings.SIMULATOR_LATE_SECONDS = value
    assert configuration.seconds(configuration.LATE) == 20
    assert configuration.problems()[0].startswith("SIMULATOR_LATE_SECONDS must be a number of seconds")
