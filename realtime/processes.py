"""All server processes as one: the sums of what each says of itself (beats.py).

Sockets and lamps of one process are no answer to "how many customers are watching": staff and `/metrics` read the sum
of the fresh lines, and how old the oldest of them is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone

from realtime.models import ProcessBeat

RECONCILER_IS_OLD = timedelta(seconds=30)  # sixty passes
FRESH = timedelta(seconds=15)  # a process that has been silent for longer is gone, or worth nothing


@dataclass(frozen=True)
class Processes:
    """All processes as one."""

    count: int = 0
    sockets: int = 0
    boards: int = 0
    pollers: int = 0
    deaf: int = 0  # processes whose channel layer does not answer
    tailed_at: datetime | None = None  # of the process whose tailer is furthest behind
    reconciled_at: datetime | None = None  # the last pass that any process of the last hour told of: one is enough
    oldest: datetime | None = None  # of the lines that are summed
    started_at: datetime | None = None  # of the process that has run longest

    @property
    def nobody_reconciles(self) -> bool:
        """Whether the last pass of any process is old; one that has only just started has had no time for one."""
        known = [moment for moment in (self.reconciled_at, self.started_at) if moment]
        return bool(known) and max(known) < timezone.now() - RECONCILER_IS_OLD

    @property
    def age(self) -> float | None:
        """Seconds since the oldest of the lines that are summed, None without any."""
        return max(0.0, (timezone.now() - self.oldest).total_seconds()) if self.oldest else None


def everybody() -> Processes:
    """Return the sum of the processes that are alive; two queries.

    A pass counts whoever made it: on a busy machine a process that lives may not get to say so for a while.
    """
    fresh = ProcessBeat.objects.filter(beat_at__gt=timezone.now() - FRESH)
    found = fresh.aggregate(
        count=Count("pk"),
        sockets=Sum("sockets", default=0),
        boards=Sum("boards", default=0),
        pollers=Sum("pollers", default=0),
        deaf=Count("pk", filter=Q(layer_answers=False)),
        tailed_at=Min("tailed_at"),
        oldest=Min("beat_at"),
        started_at=Min("started_at"),
    )
    return Processes(**found, **ProcessBeat.objects.aggregate(reconciled_at=Max("reconciled_at")))
