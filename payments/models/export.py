"""What left the house as a file."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Export(models.Model):
    """One export of payments: who, what was looked for, how many, and how far the file has come. Never edited."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    query = models.TextField(blank=True)
    with_pii = models.BooleanField(default=False)
    why = models.CharField(max_length=200, blank=True)
    payments = models.PositiveIntegerField()
    written = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.payments:,} · {self.query}"

    @property
    def percent(self) -> int:
        """How much of the file is written, 0 to 100."""
        return 100 if self.finished_at else min(99, self.written * 100 // max(1, self.payments))
