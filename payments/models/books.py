"""M-PESA's own record as we have read it, and where it and ours do not say the same."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.models.payment import Transaction


class Reading(models.Model):
    """One reading of M-PESA's record: a list pulled through Daraja, or a statement that somebody imported.

    `covers_from`, `covers_until`: within them the record is complete, so that what is missing there is missing.
    `read_rows`: how far an import has come; it goes on from there when the same file is given again.
    """

    class Source(models.TextChoices):
        PULL = "pull", _("Pulled through Daraja")
        STATEMENT = "statement", _("Statement of M-PESA's portal")

    class State(models.TextChoices):
        RUNNING = "running", _("Being read")
        DONE = "done", _("Read")
        FAILED = "failed", _("Not read to the end")

    environment = models.CharField(max_length=10)
    source = models.CharField(max_length=10, choices=Source.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    name = models.CharField(max_length=120, blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text=_("SHA-256 of the file"))
    covers_from = models.DateTimeField(null=True)
    covers_until = models.DateTimeField(null=True)
    total_bytes = models.PositiveBigIntegerField(default=0)
    read_bytes = models.PositiveBigIntegerField(default=0)
    read_rows = models.PositiveIntegerField(default=0)
    new_rows = models.PositiveIntegerField(default=0, help_text=_("Rows that no earlier reading had"))
    problem = models.CharField(max_length=250, blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-started_at"]
        verbose_name = _("reading")
        verbose_name_plural = _("readings")
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "digest"], condition=Q(source="statement"), name="statement_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()}: {self.get_state_display()}"

    @property
    def percent(self) -> int:
        """How much of the file has been read."""
        return 100 * self.read_bytes // self.total_bytes if self.total_bytes else 0


class Movement(models.Model):
    """One completed line of M-PESA's record. Amounts in cents, because charges have them; no customer's name or number.

    `fingerprint` keeps one row however often, and from whichever source, the line is read.
    """

    class Kind(models.TextChoices):
        PAYMENT = "payment", _("Payment")
        REVERSAL = "reversal", _("Reversal")
        OTHER = "other", _("Charge, withdrawal or other")

    environment = models.CharField(max_length=10)
    reading = models.ForeignKey(Reading, on_delete=models.PROTECT, related_name="movements")
    fingerprint = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    receipt = models.CharField(max_length=40)
    linked_receipt = models.CharField(max_length=40, blank=True)
    account_reference = models.CharField(max_length=40, blank=True)
    cents_in = models.PositiveBigIntegerField(default=0)
    cents_out = models.PositiveBigIntegerField(default=0)
    completed_at = models.DateTimeField()
    details = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ["completed_at", "id"]
        verbose_name = _("movement")
        verbose_name_plural = _("movements")
        indexes = [
            models.Index(fields=["environment", "kind", "receipt"], name="movement_by_receipt"),
            models.Index(fields=["environment", "kind", "completed_at"], name="movement_by_time"),
            models.Index(fields=["account_reference"], condition=~Q(account_reference=""), name="movement_by_account"),
            models.Index(fields=["linked_receipt"], condition=~Q(linked_receipt=""), name="movement_by_link"),
        ]

    def __str__(self) -> str:
        return f"{self.receipt} · {self.get_kind_display()}"


class Finding(models.Model):
    """One place where the two records differ. Never corrected by us: a person looks, and says what it was."""

    class Kind(models.TextChoices):
        MISSING_THEIRS = "missing_theirs", _("In our record, not in M-PESA's")
        MISSING_OURS = "missing_ours", _("In M-PESA's record, not in ours")
        AMOUNT = "amount", _("Another amount")
        RECEIPT = "receipt", _("Another receipt")
        TWICE = "twice", _("Paid twice with one reference")
        REVERSED = "reversed", _("Reversed at M-PESA, not here")
        REFUND_MISSING = "refund_missing", _("Sent back here, not at M-PESA")

    environment = models.CharField(max_length=10)
    kind = models.CharField(max_length=15, choices=Kind.choices)
    fingerprint = models.CharField(max_length=64, unique=True)
    receipt = models.CharField(max_length=40, blank=True)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, null=True, related_name="findings")
    reading = models.ForeignKey(Reading, on_delete=models.PROTECT, related_name="findings")
    ours = models.PositiveIntegerField(null=True, help_text=_("Whole KES in our record"))
    theirs_cents = models.PositiveBigIntegerField(null=True, help_text=_("Cents in M-PESA's record"))
    note = models.CharField(max_length=120, blank=True)
    happened_at = models.DateTimeField()
    opened_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    resolution = models.CharField(max_length=250, blank=True, help_text=_("Why, in the supervisor's words"))

    class Meta:
        ordering = ["-happened_at", "id"]
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        indexes = [models.Index(fields=["environment", "happened_at"], name="finding_by_time")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.receipt}"

    @property
    def theirs(self) -> str:
        """KES in M-PESA's record as people read it, empty where there are none."""
        return "" if self.theirs_cents is None else f"{self.theirs_cents / 100:,.2f}"
