"""Money that goes back."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.models.conversation import Conversation
from payments.models.payment import Transaction
from shop.models import CURRENCY


class Refund(models.Model):
    """One decision of a person to give money back, and what became of it. `amount`: whole KES.

    `state` changes only in `payments/refunds/`; `sent_at` is set once, before M-PESA hears of it, and never again.
    """

    class Method(models.TextChoices):
        REVERSAL = "reversal", _("Reversal by M-PESA")
        BY_HAND = "by_hand", _("By hand")

    class State(models.TextChoices):
        REQUESTED = "requested", _("Requested")
        ACCEPTED = "accepted", _("M-PESA is at it")
        DONE = "done", _("Sent back")
        FAILED = "failed", _("Not sent back")
        UNKNOWN = "unknown", _("Unknown")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="refunds")
    environment = models.CharField(max_length=10)
    method = models.CharField(max_length=10, choices=Method.choices)
    amount = models.PositiveIntegerField(help_text=_("Whole KES"))
    reason = models.CharField(max_length=200, help_text=_("Why, in the person's words"))
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    outcome = models.CharField(max_length=250, blank=True, help_text=_("What M-PESA said, or the person who decided"))
    receipt = models.CharField(max_length=40, blank=True, help_text=_("M-PESA's receipt of the way back"))
    needs_second_person = models.BooleanField(default=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    conversation = models.OneToOneField(Conversation, on_delete=models.PROTECT, null=True, related_name="+")
    ask_after = models.DateTimeField(null=True, help_text=_("When M-PESA is asked what became of it"))
    asked = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-requested_at"]
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=1), name="refund_of_something"),
            # M-PESA reverses a payment once; a second reversal would be taken for the first (R000001).
            models.UniqueConstraint(
                fields=["transaction"], condition=Q(method="reversal") & ~Q(state="failed"), name="one_reversal"
            ),
        ]
        indexes = [
            models.Index(fields=["ask_after"], condition=Q(ask_after__isnull=False), name="refund_to_ask_about"),
        ]

    def __str__(self) -> str:
        return f"{CURRENCY} {self.amount:,} · {self.get_state_display()}"

    @property
    def waits_for_second_person(self) -> bool:
        return self.state == self.State.REQUESTED and self.needs_second_person and self.approved_by_id is None

    @property
    def may_be_sent(self) -> bool:
        """Whether it only has to be sent: nobody has asked M-PESA for it yet."""
        is_reversal = self.method == self.Method.REVERSAL
        return is_reversal and self.state == self.State.REQUESTED and not (self.sent_at or self.waits_for_second_person)
