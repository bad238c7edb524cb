"""What is remembered of requests, whatever is sold: their answers, and how often who asks."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """What a POST with an Idempotency-Key answered, so that its repetition repeats the answer."""

    scope = models.CharField(max_length=100, help_text=_("Route and, for a push, its order"))
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True, help_text=_("Empty while the first request runs"))
    result = models.JSONField(default=dict, help_text=_("The ids it answered"))
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.scope


class RateCount(models.Model):
    """When one caller last did one thing; shared by all workers, forgotten as soon as it counts for nothing.

    `moments`: seconds since the epoch, oldest first, no more than the limit they are counted for.
    """

    key = models.CharField(max_length=64, primary_key=True, help_text=_("What is counted, and a digest of who did it"))
    moments = models.JSONField(default=list)
    forget_after = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
