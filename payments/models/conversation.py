"""What Daraja answers twice: a request that it takes in at once, and whose result comes later, or never."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Conversation(models.Model):
    """One reversal, or one question about a transaction; Daraja calls it a conversation.

    `purpose` names who asked and is told the result (`conversations.register`), `subject` is that one's own id of
    what it is about. `answer_due_at`: until when somebody waits; None when nobody does any more.
    """

    class Kind(models.TextChoices):
        TRANSACTION_STATUS = "transaction_status", _("Transaction Status")
        REVERSAL = "reversal", _("Reversal")

    class State(models.TextChoices):
        REQUESTED = "requested", _("Being asked")
        ACCEPTED = "accepted", _("Taken in, waiting for the result")
        ANSWERED = "answered", _("Answered")
        TIMED_OUT = "timed_out", _("Timed out at M-PESA")
        UNKNOWN = "unknown", _("Unknown: no answer came")
        REFUSED = "refused", _("Refused, or never sent")  # nothing happened

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.CharField(max_length=10)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    purpose = models.CharField(max_length=20)
    subject = models.CharField(max_length=64, db_index=True)
    receipt = models.CharField(max_length=40, blank=True, help_text=_("The receipt that it is about"))
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    problem = models.CharField(max_length=250, blank=True)
    originator_conversation_id = models.CharField(max_length=100, blank=True, db_index=True)
    conversation_id = models.CharField(max_length=100, blank=True)
    result_code = models.CharField(max_length=40, blank=True)
    result_desc = models.CharField(max_length=250, blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    accepted_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    answer_due_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-requested_at"]
        indexes = [
            models.Index(
                fields=["answer_due_at"], condition=Q(answer_due_at__isnull=False), name="conversation_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_state_display()}"


class ConversationResult(models.Model):
    """What was posted to the two URLs of a conversation, as it came; stored before anything is done with it."""

    class State(models.TextChoices):
        RECEIVED = "received", _("Waiting to be processed")
        PROCESSED = "processed", _("Processed")
        REJECTED = "rejected", _("No result")
        HINT = "hint", _("Only a hint")

    conversation = models.ForeignKey(Conversation, on_delete=models.PROTECT, related_name="results")
    is_timeout = models.BooleanField(help_text=_("Came to QueueTimeOutURL"))
    body = models.BinaryField()
    digest = models.CharField(max_length=64, help_text=_("SHA-256 of the body"))
    copies = models.PositiveIntegerField(default=1)
    remote_address = models.GenericIPAddressField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    outcome = models.CharField(max_length=250, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A copy from elsewhere, which is only a hint, never counts as one of the true result.
            models.UniqueConstraint(
                fields=["conversation", "is_timeout", "digest"],
                condition=~Q(state="hint"),
                name="conversation_result_once",
            ),
        ]
        indexes = [
            models.Index(fields=["received_at"], condition=Q(state="received"), name="conversation_result_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.digest[:12]}"
