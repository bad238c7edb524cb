"""What realtime adds to `/readyz` and `/metrics`; payments never learns who listens."""

from __future__ import annotations

from payments import health, metrics
from realtime import background, broadcast, dropped, figures, life, tailer
from realtime.audience import audience

TAILER_IS_STALE_AFTER = 10.0  # seconds; a round starts every second


def register() -> None:
    """Add our probes and gauges; doing it twice changes nothing."""
    health.add_probe("channel_layer", broadcast.layer_answers)
    health.add_probe("tailer", _tailer_is_well)
    health.add_probe("draining", lambda: not life.is_draining())
    metrics.add_collector(figures.collect)
    metrics.add_collector(dropped.collect)
    dropped.listen_for_full_queues()
    metrics.add_gauge("sockets", "Open sockets of this process", lambda: float(len(audience)))
    metrics.add_gauge("tasks", "Unfinished asyncio tasks of this process", lambda: float(background.task_count()))
    metrics.add_gauge("tailer_age_seconds", "Seconds since the tailer's last round here", lambda: tailer.age() or 0.0)


def _tailer_is_well() -> bool:
    age = tailer.age()
    return age is not None and age < TAILER_IS_STALE_AFTER
