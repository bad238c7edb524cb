"""What `/metrics` says of all server processes together, from what each of them writes of itself (beats.py)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from realtime.models import ProcessBeat

FRESH = timedelta(seconds=15)  # three beats


def collect() -> Iterator[Metric]:
    """Yield sums and the worst ages over the processes that were heard of lately."""
    now = timezone.now()
    fresh = list(ProcessBeat.objects.filter(beat_at__gt=now - FRESH))
    yield _gauge("processes", "Server processes that are alive", len(fresh))
    yield _gauge("all_sockets", "Open sockets of payment pages, of all processes", sum(b.sockets for b in fresh))
    yield _gauge("all_boards", "Open sockets of staff, of all processes", sum(b.boards for b in fresh))
    yield _gauge("all_held_polls", "Held polls, of all processes", sum(b.pollers for b in fresh))
    yield _gauge(
        "deaf_processes", "Processes whose channel layer does not answer", sum(not b.layer_answers for b in fresh)
    )
    yield _gauge(
        "tailer_lag_seconds", "Longest since a tailer's last round", _oldest(now, [b.tailed_at for b in fresh])
    )
    ages = [b.reconciled_at for b in fresh]
    yield _gauge("reconciler_lag_seconds", "Longest since a reconciler's last pass", _oldest(now, ages))


def _gauge(name: str, description: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(f"papo_{name}", description)
    gauge.add_metric([], value)
    return gauge


def _oldest(now: datetime, moments: list[datetime | None]) -> float:
    return max(((now - moment).total_seconds() for moment in moments if moment), default=0.0)
