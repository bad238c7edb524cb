"""What the server processes say of themselves, so that any of them can say it for all."""

from __future__ import annotations

from django.db import models


class ProcessBeat(models.Model):
    """One server process as it last described itself; a beat that has become old is of a process that is gone.

    Sockets and pollers are people: sum them over the beats that are fresh (realtime/beats.py).
    """

    name = models.CharField(max_length=40, primary_key=True)  # random, made when the process starts
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_index=True)
    sockets = models.PositiveIntegerField(default=0)  # open sockets of payment pages
    boards = models.PositiveIntegerField(default=0)  # open sockets of staff
    pollers = models.PositiveIntegerField(default=0)  # held polls
    layer_answers = models.BooleanField(default=True)  # the channel layer took a message
    tailed_at = models.DateTimeField(null=True)  # the tailer's last round
    reconciled_at = models.DateTimeField(null=True)  # the reconciler's last pass

    def __str__(self) -> str:
        return self.name


class Alarm(models.Model):
    """Something about the whole shop that is wrong until it clears, as all processes together know it.

    `seen_at` is when it was last found to be so; `detail` holds figures and no words: each reader has their own.
    """

    environment = models.CharField(max_length=10)
    kind = models.CharField(max_length=20)
    is_on = models.BooleanField(default=False)
    since = models.DateTimeField()  # when it went on, or off
    seen_at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "kind"], name="alarm_once_per_environment")]

    def __str__(self) -> str:
        return f"{self.kind}: {'on' if self.is_on else 'off'}"


class Probe(models.Model):
    """The last look at the address that Safaricom calls back, from outside; one process at a time looks."""

    environment = models.CharField(max_length=10, primary_key=True)
    asked_at = models.DateTimeField()
    problem = models.CharField(max_length=60, blank=True)  # empty when it answered as it should

    def __str__(self) -> str:
        return self.problem or "well"
