"""What is watched: figures over all processes, alert rules that name only these, and nothing secret in a report."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from django.utils import timezone

import reporting
from middleware import RequestIds
from payments import budget
from payments.daraja.timing import timed
from payments.db import DatabaseThreads
from payments.metrics import metrics_text
from payments.models import Delivery
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


WATCHED = {  # what somebody on call asks first, and the figure that answers
    "callbacks by what became of them": "papo_callbacks",
    "callback to push": "papo_callback_to_push_recent",
    "open sockets": "papo_all_sockets",
    "polls": "papo_polls_total",
    "held polls": "papo_all_held_polls",
    "messages that the layer dropped": "papo_layer_dropped_total",
    "tailer": "papo_tailer_lag_seconds",
    "reconciler's queue": "papo_reconciler_queue",
    "and its age": "papo_reconciler_queue_age_seconds",
    "how fast Daraja answers": "papo_daraja_seconds_bucket",
    "and whether it does": "papo_daraja_seconds_count",
    "what is left of the budget": "papo_daraja_budget_left",
    "what it allowed and refused": "papo_daraja_budget_total",
    "and whether Daraja wants silence": "papo_daraja_silent_seconds",
    "spool": "papo_spool_length",
}


@pytest.mark.django_db
@pytest.mark.parametrize("figure", WATCHED.values(), ids=WATCHED)
def test_what_one_asks_first_is_shown_and_drawn(figure: str) -> None:
    assert _unknown_to(metrics_text().decode(), figure) == []
    assert figure in (REPOSITORY / "deploy/grafana-papo.json").read_text()


@pytest.mark.django_db
def test_alert_rules_name_only_figures_that_are_shown() -> None:
    rules = yaml.safe_load((REPOSITORY / "deploy/alerts.yml").read_text())["groups"][0]["rules"]
    text = metrics_text().decode()
    for rule in rules:
        assert _unknown_to(text, rule["expr"]) == [], rule["alert"]


@pytest.mark.django_db
def test_the_dashboard_names_only_figures_that_are_shown() -> None:
    panels = json.loads((REPOSITORY / "deploy/grafana-papo.json").read_text())["panels"]
    text = metrics_text().decode()
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]
    assert len(queries) >= len([panel for panel in panels if panel["type"] != "row"]) > 0
    for title, query in queries:
        assert re.search(r"papo_\w+", query), title
        assert _unknown_to(text, query) == [], title


def _unknown_to(text: str, query: str) -> list[str]:
    """Return the metrics of a query that `/metrics` does not show; a histogram is named with what PromQL appends."""
    names = [re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name) for name in re.findall(r"papo_\w+", query)]
    return [name for name in names if f"# TYPE {name} " not in text]


@pytest.mark.django_db
def test_pushes_are_counted_by_how_long_they_took() -> None:
    now = timezone.now()
    _deliver(now, took=0.02)
    _deliver(now, took=0.3)
    _deliver(now, took=30)
    _deliver(now, took=0.02, watched=False)
    _deliver(now, took=0.02, channel=Delivery.Channel.POLL)
    _deliver(now - timedelta(minutes=16), took=0.02)
    shown = _figures()
    counts = {le: shown[f'papo_callback_to_push_recent{{le="{le}"}}'] for le in ("0.01", "0.025", "0.5", "5.0", "+Inf")}
    assert counts == {"0.01": 0, "0.025": 1, "0.5": 2, "5.0": 2, "+Inf": 3}


def _deliver(at: datetime, *, took: float, watched: bool = True, channel: str = Delivery.Channel.SOCKET) -> None:
    Delivery.objects.create(
        transaction=make_transaction(),
        version=2,
        received_at=at,
        committed_at=at,
        sent_at=at + timedelta(seconds=took),
        channel=channel,
        watched=watched,
    )


@pytest.mark.django_db
def test_daraja_is_timed_by_request_and_outcome() -> None:
    before = _counts_of_daraja()
    url = "https://api.example/mpesa/stkpush/v1/processrequest"
    for status in (200, 503):
        with timed(url) as timing:
            timing.http_status = status
    with pytest.raises(OSError, match="away"), timed("https://api.example/elsewhere"):
        raise OSError("away")
    now = _counts_of_daraja()
    more = {labels: now[labels] - before.get(labels, 0) for labels in now if now[labels] != before.get(labels, 0)}
    assert more == {("stkpush", "answered"): 1, ("stkpush", "refused"): 1, ("other", "failed"): 1}


def _counts_of_daraja() -> dict[tuple[str, str], float]:
    lines = re.findall(
        r'^papo_daraja_seconds_count\{outcome="(\w+)",request="(\w+)"\} (\S+)$', metrics_text().decode(), re.MULTILINE
    )
    return {(request, outcome): float(count) for outcome, request, count in lines}


async def _request_id(*given: bytes) -> str:
    """Return the request_id that log lines of a request have, which came with these X-Request-ID."""
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update(structlog.contextvars.get_contextvars())

    scope = {"type": "http", "headers": [(b"x-request-id", value) for value in given]}
    await asyncio.create_task(RequestIds(application)(scope, None, None))
    return str(seen["request_id"])


async def test_a_sane_request_id_is_kept() -> None:
    assert await _request_id(b"7f3a-11_x.Y9") == "7f3a-11_x.Y9"


@pytest.mark.parametrize(
    "given", [(), (b"short",), (b"x" * 65,), (b'a"b{c}d\nefgh',), (b"\xff" * 12,), (b"1" * 12, b"2" * 12)]
)
async def test_any_other_is_replaced_by_a_new_one(given: tuple[bytes, ...]) -> None:
    made = [await _request_id(*given) for _ in range(2)]
    assert made[0] != made[1]
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in made)


async def test_no_request_keeps_the_id_of_another() -> None:
    await _request_id()
    assert "request_id" not in structlog.contextvars.get_contextvars()


async def test_a_thread_that_works_for_a_request_says_so_in_its_json_lines() -> None:
    renderer = structlog.processors.JSONRenderer()

    def line() -> str:
        return str(renderer(None, "info", structlog.contextvars.merge_contextvars(None, "info", {"event": "x"})))

    with structlog.contextvars.bound_contextvars(request_id="of-this-one"):
        told = await DatabaseThreads(1, name="test").run(line)
    assert json.loads(told) == {"event": "x", "request_id": "of-this-one"}


def test_a_report_to_sentry_holds_no_token_no_checkout_id_and_no_phone_number() -> None:
    event = {
        "request": {"url": "http://x/payments/callback/abc.def/"},
        "extra": [{"id": "ws_CO_123"}, "254712345678", 7],
    }
    told = str(reporting.hide_all(event))
    assert "abc.def" not in told
    assert "ws_CO_123" not in told
    assert "254712345678" not in told
    assert "7" in told


def test_a_wrong_address_for_sentry_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"\w"):
        reporting.report_errors_to("nonsense", environment="simulator")


@pytest.mark.django_db
def test_the_budget_shows_what_is_left_and_what_was_refused(settings: Any) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 20
    before = _figures()
    assert before['papo_daraja_budget_left{purpose="queries"}'] == 2
    assert [budget.take_query() for _ in range(3)] == [True, True, False]
    budget.be_silent()
    shown = _figures()
    assert shown['papo_daraja_budget_left{purpose="queries"}'] < 1
    assert shown['papo_daraja_budget_per_minute{purpose="hints"}'] == 2
    assert 55 < shown["papo_daraja_silent_seconds"] <= 60
    counted = {
        outcome: shown[name] - before.get(name, 0)
        for outcome in ("allowed", "refused")
        for name in [f'papo_daraja_budget_total{{outcome="{outcome}",purpose="queries"}}']
    }
    assert counted == {"allowed": 2, "refused": 1}


@pytest.mark.django_db(transaction=True)
def test_polls_are_counted_by_what_they_asked_for(client: Any) -> None:
    payment, before = make_transaction(), _figures()
    client.get(f"/payments/status/?transaction_id={payment.pk}")
    client.get(f"/payments/status/?transaction_id={payment.pk}&since=0&wait=5")
    shown = _figures()
    more = [
        shown[name] - before.get(name, 0)
        for kind in ("at_once", "held")
        for name in [f'papo_polls_total{{kind="{kind}"}}']
    ]
    assert more == [1, 1]
