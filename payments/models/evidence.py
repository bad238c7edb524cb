"""What Daraja told us, and what does not add up."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.models.payment import Transaction


class Callback(models.Model):
    """The inbox: what Daraja, or somebody who claims to be Daraja, posted; stored before anything is done with it.

    `trusted` when it came with the payment's token. `body` is bytes: PostgreSQL text refuses NUL, and evidence is
    kept as it came.
    """

    class State(models.TextChoices):
        RECEIVED = "received", _("Waiting to be processed")
        PROCESSED = "processed", _("Processed")
        REJECTED = "rejected", _("No callback")
        HINT = "hint", _("Only a hint")

    # sha256 of (environment, payment, trusted, body): a forged copy never counts as a copy of the true one.
    dedup_key = models.CharField(max_length=64, unique=True)
    environment = models.CharField(max_length=10)
    transaction_id = models.UUIDField(null=True, db_index=True)
    trusted = models.BooleanField()
    body = models.BinaryField()
    digest = models.CharField(max_length=64, help_text=_("SHA-256 of the body"))
    checkout_request_id = models.CharField(max_length=100, blank=True, db_index=True)
    remote_address = models.GenericIPAddressField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    outcome = models.CharField(max_length=250, blank=True)
    copies = models.PositiveIntegerField(default=1)
    attempts = models.PositiveSmallIntegerField(default=0)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        indexes = [
            models.Index(fields=["received_at"], condition=Q(state="received"), name="callback_waiting"),
            models.Index(fields=["environment", "received_at"], condition=Q(trusted=True), name="callback_heard_when"),
            models.Index(
                fields=["environment", "received_at"],
                condition=Q(state__in=("hint", "rejected")),
                name="callback_doubtful_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.digest[:12]}"


class Discrepancy(models.Model):
    """Something about money that does not add up and that a person must see.

    `fingerprint` keeps one row per finding however often the evidence is repeated.
    """

    class Kind(models.TextChoices):
        AMOUNT_DIFFERS = "amount_differs", _("Amount differs")
        IDS_DIFFER = "ids_differ", _("Ids differ")
        RECEIPT_REUSED = "receipt_reused", _("Receipt already used")
        OVERPAID = "overpaid", _("More than was due")
        SURPLUS = "surplus", _("Paid twice")
        LATE = "late", _("Paid late")
        PAID_AFTER_CANCEL = "paid_after_cancel", _("Paid after the order was cancelled")
        CONTRADICTION = "contradiction", _("Sources contradict each other")
        UNKNOWN_CODE = "unknown_code", _("Unknown result code")

    BLOCKING = frozenset({Kind.AMOUNT_DIFFERS, Kind.IDS_DIFFER, Kind.RECEIPT_REUSED})

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="discrepancies")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    blocking = models.BooleanField(default=False, help_text=_("Only a supervisor can complete the payment"))
    evidence = models.JSONField(default=dict)
    fingerprint = models.CharField(max_length=64)
    opened_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    resolution = models.CharField(max_length=250, blank=True, help_text=_("Why, in the supervisor's words"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("discrepancy")
        verbose_name_plural = _("discrepancies")
        permissions = [("resolve_discrepancy", "Can resolve discrepancies and decide payments under review")]
        constraints = [
            models.UniqueConstraint(fields=["transaction", "kind", "fingerprint"], name="discrepancy_once"),
        ]
        indexes = [
            models.Index(fields=["transaction"], condition=Q(resolved_at=None, blocking=True), name="blocking_open"),
            models.Index(fields=["opened_at"], condition=Q(resolved_at=None), name="discrepancy_open"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.transaction_id}"
