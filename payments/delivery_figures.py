"""What `/metrics` says of the way from a callback to the customer's page: counted from `Delivery`, of all processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, F, Q
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from payments.models import Delivery

WINDOW = timedelta(minutes=15)
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)  # seconds


def collect() -> Iterator[Metric]:
    """Yield how many pushes of the last quarter of an hour left within each bound; `le` as a histogram has it.

    Counted are ends that a callback told and that left on a socket for a page that was waiting. A gauge, because old
    ones leave the window; histogram_quantile() reads it as it is, without rate(). By the index on `committed_at` alone:
    joined to the payments, whose environment says nothing of our speed, PostgreSQL reads every delivery there has been.
    """
    pushed = Delivery.objects.filter(
        committed_at__gt=timezone.now() - WINDOW,
        channel=Delivery.Channel.SOCKET,
        watched=True,
        received_at__isnull=False,
        sent_at__isnull=False,
    ).order_by()
    within = {
        f"bound_{number}": Count("pk", filter=Q(sent_at__lte=F("received_at") + timedelta(seconds=bound)))
        for number, bound in enumerate(BOUNDS)
    }
    counts = pushed.aggregate(all=Count("pk"), **within)
    description = "Pushes of the last 15 minutes by seconds from callback received to frame sent, cumulative"
    pushes = GaugeMetricFamily("papo_callback_to_push_recent", description, labels=["le"])
    for number, bound in enumerate(BOUNDS):
        pushes.add_metric([str(bound)], counts[f"bound_{number}"])
    pushes.add_metric(["+Inf"], counts["all"])
    yield pushes
