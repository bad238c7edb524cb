"""What is watched: figures over all processes, alert rules that name only these, and nothing secret in a report."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.utils import timezone

import logs
from payments.metrics import metrics_text
from realtime.models import ProcessBeat
from tests.factories import make_transaction

REPOSITORY = Path(__file__).resolve().parent.parent


def _beat(name: str, *, seconds_ago: int = 1, **fields: object) -> None:
    now = timezone.now()
    ProcessBeat.objects.create(name=name, started_at=now, beat_at=now - timedelta(seconds=seconds_ago), **fields)


def _figures() -> dict[str, float]:
    lines = metrics_text().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


@pytest.mark.django_db
def test_figures_are_summed_over_the_processes_that_are_alive() -> None:
    _beat("one", sockets=3, pollers=1, tailed_at=timezone.now() - timedelta(seconds=4))
    _beat("two", sockets=4, layer_answers=False)
    _beat("gone", sockets=100, seconds_ago=60)
    shown = _figures()
    assert (shown["papo_processes"], shown["papo_all_sockets"], shown["papo_all_held_polls"]) == (2, 7, 1)
    assert shown["papo_deaf_processes"] == 1
    assert 4 <= shown["papo_tailer_lag_seconds"] < 10


@pytest.mark.django_db
def test_the_queue_of_questions_shows_how_long_it_waits() -> None:
    make_transaction(check_after=timezone.now() - timedelta(seconds=90))
    make_transaction(check_after=timezone.now() + timedelta(seconds=90))
    shown = _figures()
    assert shown["papo_reconciler_queue"] == 1
    assert 90 <= shown["papo_reconciler_queue_age_seconds"] < 120


@pytest.mark.django_db
def test_alert_rules_name_only_figures_that_are_shown() -> None:
    rules = yaml.safe_load((REPOSITORY / "deploy/alerts.yml").read_text())["groups"][0]["rules"]
    text = metrics_text().decode()
    for rule in rules:
        for name in re.findall(r"papo_\w+", rule["expr"]):
            assert f"# TYPE {name} " in text, rule["alert"]


def test_a_report_to_sentry_holds_no_token_no_checkout_id_and_no_phone_number() -> None:
    event = {
        "request": {"url": "http://x/payments/callback/abc.def/"},
        "extra": [{"id": "ws_CO_123"}, "254712345678", 7],
    }
    told = str(logs.redact_all(event))
    assert "abc.def" not in told
    assert "ws_CO_123" not in told
    assert "254712345678" not in told
    assert "7" in told


def test_a_wrong_address_for_sentry_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"\w"):
        logs.report_errors_to("nonsense", environment="simulator")
