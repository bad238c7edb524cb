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
