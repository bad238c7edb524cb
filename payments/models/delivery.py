"""How the end of a payment reached its customer's page, in four moments."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from payments.models.payment import Transaction


class Delivery(models.Model):
    """The moments of the version that ended a payment: COMPLETED, else FAILED. A success after a failure begins anew.

    A moment is empty while it has not come: no `received_at` when no callback told of the end, no `sent_at` when no
    page has asked, no `painted_at` when none has said that it shows it. `painted_at` is when that word arrived here.
    """

    class Channel(models.TextChoices):
        SOCKET = "socket", _("Socket")
        POLL = "poll", _("Poll")
        PAGE = "page", _("Page load")

    transaction = models.OneToOneField(Transaction, on_delete=models.CASCADE, primary_key=True, related_name="delivery")
    version = models.PositiveIntegerField()
    received_at = models.DateTimeField(null=True, help_text=_("When the callback came in"))
    committed_at = models.DateTimeField(db_index=True, help_text=_("When it was safely stored"))
    sent_at = models.DateTimeField(null=True, help_text=_("When it first left for a page"))
    painted_at = models.DateTimeField(null=True, help_text=_("When a page first said that it shows it"))
    channel = models.CharField(max_length=6, choices=Channel.choices, blank=True, help_text=_("How it first left"))
    watched = models.BooleanField(default=False, help_text=_("A page that showed an earlier version was waiting"))

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.channel or '-'} {self.version}"

    @property
    def seconds_to_screen(self) -> float | None:
        """From the callback until a page said that it shows it; None while none has, or when none was called back."""
        if not (self.painted_at and self.received_at):
            return None
        return max(0.0, (self.painted_at - self.received_at).total_seconds())
