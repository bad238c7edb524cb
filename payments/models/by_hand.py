"""What came by hand: M-PESA's confirmations of payments to the PayBill or till, and customers who say they paid."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.models.payment import Transaction
from shop.models import Order


class Confirmation(models.Model):
    """One C2B confirmation as it was posted, or the like that M-PESA told us when we asked: stored first.

    Whoever knows the path may post one, so it proves nothing by itself: money counts when M-PESA itself has named
    this `trans_id`. Several may name the same one, and at most one of them is COUNTED.
    """

    class State(models.TextChoices):
        RECEIVED = "received", _("Waiting to be processed")
        CHECKING = "checking", _("M-PESA is asked")
        COUNTED = "counted", _("Counted")
        UNMATCHED = "unmatched", _("Real, and for no order we know")
        REFUSED = "refused", _("Not true, or counted already")
        REJECTED = "rejected", _("No confirmation")
        SET_ASIDE = "set_aside", _("Set aside by staff")

    dedup_key = models.CharField(max_length=64, unique=True, help_text=_("SHA-256 of environment and body"))
    environment = models.CharField(max_length=10)
    body = models.BinaryField()
    remote_address = models.GenericIPAddressField(null=True)
    is_trusted = models.BooleanField(default=False, help_text=_("M-PESA itself named it when it was asked"))
    copies = models.PositiveIntegerField(default=1)
    received_at = models.DateTimeField()

    trans_id = models.CharField(max_length=20, blank=True, db_index=True, help_text=_("M-PESA's receipt"))
    amount = models.PositiveIntegerField(null=True, help_text=_("Whole KES"))
    bill_ref_number = models.CharField(max_length=20, blank=True, help_text=_("The account number as it was typed"))
    msisdn = models.CharField(max_length=12, blank=True, help_text=_("As far as M-PESA shows it: 2547*****149"))

    order = models.ForeignKey(Order, on_delete=models.PROTECT, null=True, related_name="confirmations")
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, null=True, related_name="confirmations")
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    outcome = models.CharField(max_length=250, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    processed_at = models.DateTimeField(null=True)

    # What M-PESA is asked about a waiting one, and when.
    check_after = models.DateTimeField(null=True)
    checks = models.PositiveSmallIntegerField(default=0, help_text=_("How often M-PESA was asked"))
    denied_at = models.DateTimeField(null=True, help_text=_("When M-PESA first said that there is no such payment"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("confirmation")
        verbose_name_plural = _("confirmations")
        permissions = [("match_confirmation", "Can match money that came by hand to an order")]
        indexes = [
            models.Index(fields=["received_at"], condition=Q(state="received"), name="confirmation_waiting"),
            models.Index(fields=["check_after"], condition=Q(check_after__isnull=False), name="confirmation_to_check"),
            models.Index(fields=["order", "state"], name="confirmations_of_order"),
        ]

    def __str__(self) -> str:
        return f"{self.trans_id or '?'} · {self.get_state_display()}"


class ReceiptClaim(models.Model):
    """A customer says: I have paid this order, and here is the code. It decides nothing; M-PESA's word does."""

    class State(models.TextChoices):
        LOOKING = "looking", _("M-PESA is asked")
        FOUND = "found", _("Found and counted")
        FOR_STAFF = "for_staff", _("Staff have to look")
        CLOSED = "closed", _("Closed by staff")

    environment = models.CharField(max_length=10)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="receipt_claims")
    code = models.CharField(max_length=20, db_index=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.LOOKING)
    outcome = models.CharField(max_length=250, blank=True)
    claimed_at = models.DateTimeField(auto_now_add=True)
    check_after = models.DateTimeField(null=True)
    checks = models.PositiveSmallIntegerField(default=0, help_text=_("How often M-PESA was asked"))
    denied_at = models.DateTimeField(null=True, help_text=_("When M-PESA first said that there is no such payment"))
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("receipt claim")
        verbose_name_plural = _("receipt claims")
        constraints = [models.UniqueConstraint(fields=["environment", "order", "code"], name="claim_once_per_order")]
        indexes = [
            models.Index(fields=["check_after"], condition=Q(check_after__isnull=False), name="claim_to_check"),
        ]

    def __str__(self) -> str:
        return f"{self.code} · {self.get_state_display()}"
