"""A payment and its history."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from shop.models import CURRENCY, LARGEST_AMOUNT, Order

MADE_UP = "DEMO"  # how a reference of the demo's history begins; no real one has an O in it


class Status(models.TextChoices):
    PENDING = "PENDING", _("Waiting")
    COMPLETED = "COMPLETED", _("Paid")
    FAILED = "FAILED", _("Not paid")


class Reason(models.TextChoices):
    """Why a payment is FAILED; the customer's words for each stand in reasons.py."""

    CANCELLED = "cancelled", _("Cancelled on the phone")
    INSUFFICIENT_FUNDS = "insufficient_funds", _("Not enough money in M-PESA")
    WRONG_PIN = "wrong_pin", _("PIN not accepted")
    NO_RESPONSE = "no_response", _("Phone did not answer")
    PROMPT_EXPIRED = "prompt_expired", _("Prompt ran out")
    BUSY = "busy", _("M-PESA busy")
    LIMIT = "limit", _("M-PESA limit")
    ACCOUNT = "account", _("M-PESA account not usable")
    NOT_SENT = "not_sent", _("Prompt not sent")
    OUR_FAULT = "our_fault", _("Shop set up wrongly")
    EXPIRED = "expired", _("Nobody answered")
    UNKNOWN = "unknown", _("Unexplained answer")
    UNDER_REVIEW = "under_review", _("Under review")


class Source(models.TextChoices):
    """Who told us of a change."""

    PUSH = "push", _("answer to the push")
    CALLBACK = "callback", _("callback")
    QUERY = "query", _("query")
    EXPIRY = "expiry", _("expiry")
    STAFF = "staff", _("staff")
    C2B = "c2b", _("C2B confirmation")
    REFUND = "refund", _("refund")


class Channel(models.TextChoices):
    """How the money came: a prompt that we had sent to a phone, or the PayBill or till, paid by hand."""

    STK = "stk", _("Prompt")
    C2B = "c2b", _("By hand")


class Action(models.TextChoices):
    """What a person of the staff did, in a line of a payment's history."""

    ASKED = "asked", _("asked M-PESA")
    RESENT = "resent", _("sent the prompt again")
    NOTE = "note", _("note")
    SAW_PHONE = "saw_phone", _("saw the whole phone number")
    DECIDED = "decided", _("decided")
    RESOLVED = "resolved", _("resolved")
    COUNTER = "counter", _("asked at the counter")
    PACKED = "packed", _("packed the order")
    HANDED_OVER = "handed_over", _("handed the order over")
    UNDONE = "undone", _("took a step of the order back")


class Transaction(models.Model):
    """One prompt to pay one order from one phone, or one payment that came by hand.

    What came by hand is written and COMPLETED in one database transaction, so it is never seen PENDING; its
    `account_reference` is what the payer typed, its `phone_number` what M-PESA lets us see: `2547*****149`, or nothing.

    `id` is the public, unguessable transaction_id. `status` changes only through `transitions.transition`, what else
    the customer is shown only through amendments.py; both raise `version`. `amount`: whole KES.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="transactions")
    environment = models.CharField(max_length=10)
    channel = models.CharField(max_length=3, choices=Channel.choices, default=Channel.STK, editable=False)
    business_short_code = models.CharField(max_length=7)
    phone_number = models.CharField(max_length=12)
    amount = models.PositiveIntegerField(help_text=_("Whole KES"))
    account_reference = models.CharField(max_length=20)

    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    version = models.PositiveIntegerField(default=1)

    merchant_request_id = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - unknown is not ""
    checkout_request_id = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - unique when known
    result_code = models.CharField(max_length=40, blank=True)
    result_desc = models.CharField(max_length=250, blank=True)
    mpesa_receipt_number = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001 - unique when known

    late = models.BooleanField(default=False, help_text=_("Completed after it had been shown as not paid"))
    surplus = models.BooleanField(default=False, help_text=_("Completed though the order was already paid"))
    under_review = models.BooleanField(default=False, help_text=_("Only a supervisor can complete it now"))
    earlier_paid = models.BooleanField(default=False, help_text=_("An earlier attempt paid while this one was open"))
    excess = models.PositiveIntegerField(default=0, help_text=_("Whole KES that were more than the order's due"))
    found_by_hand = models.BooleanField(default=False, help_text=_("A payment by hand is found, M-PESA is asked"))
    refunded_amount = models.PositiveIntegerField(default=0, help_text=_("Whole KES"))

    # Digests of who asked, to count by: the address, and the session where a form was posted.
    asked_from = models.CharField(max_length=32, blank=True, editable=False)
    asked_in = models.CharField(max_length=32, blank=True, editable=False)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    prompted_at = models.DateTimeField(null=True, blank=True, help_text=_("When Daraja accepted the push"))
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    # The reconciler's own notes; they are not shown, so they leave the version alone.
    check_after = models.DateTimeField(null=True, blank=True, db_index=True)
    checks = models.PositiveSmallIntegerField(default=0, help_text=_("How often Daraja was asked"))
    queried_code = models.CharField(max_length=40, blank=True, help_text=_("The failure that a query named"))
    queried_at = models.DateTimeField(null=True, blank=True, help_text=_("When a query first named it"))
    hinted_at = models.DateTimeField(null=True, blank=True, help_text=_("When a tokenless hint last had us ask"))
    watched_at = models.DateTimeField(null=True, blank=True, help_text=_("When a page was last seen to show it"))
    failed_by = models.CharField(max_length=10, choices=Source.choices, blank=True)
    settled_by = models.CharField(
        max_length=10, choices=Source.choices, blank=True, help_text=_("Who told us of the present status")
    )

    touched = models.BooleanField(default=False, db_default=False, help_text=_("Somebody of the staff has seen to it"))

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")
        constraints = [
            models.CheckConstraint(condition=Q(amount__range=(1, LARGEST_AMOUNT)), name="amount_within_mpesa"),
            models.UniqueConstraint(
                fields=["environment", "order"],
                condition=Q(status="PENDING", channel="stk"),
                name="one_open_payment_per_order",
            ),
            models.UniqueConstraint(
                fields=["account_reference"], condition=Q(channel="stk"), name="account_reference_once_per_prompt"
            ),
            models.UniqueConstraint(
                fields=["environment", "phone_number"],
                condition=Q(status="PENDING", channel="stk"),
                name="one_open_prompt_per_phone",
            ),
            models.UniqueConstraint(
                fields=["environment", "checkout_request_id"], name="checkout_request_id_once_per_environment"
            ),
            models.UniqueConstraint(
                fields=["environment", "mpesa_receipt_number"], name="receipt_once_per_environment"
            ),
            models.CheckConstraint(condition=Q(refunded_amount__lte=F("amount")), name="refunded_within_amount"),
            models.CheckConstraint(condition=Q(status="FAILED") ^ Q(reason=""), name="reason_exactly_when_failed"),
        ]
        indexes = [
            models.Index(fields=["environment", "created_at"], name="pushes_in_all"),
            models.Index(fields=["environment", "phone_number", "created_at"], name="pushes_by_phone"),
            models.Index(fields=["asked_from", "created_at"], condition=~Q(asked_from=""), name="pushes_by_address"),
            models.Index(fields=["asked_in", "created_at"], condition=~Q(asked_in=""), name="pushes_by_session"),
            # What staff search and filter by, in the order in which they read: the newest first.
            models.Index(fields=["environment", "status", "created_at"], name="found_by_status"),
            models.Index(
                fields=["environment", "reason", "created_at"], condition=~Q(reason=""), name="found_by_reason"
            ),
            models.Index(
                fields=["environment", "settled_by", "created_at"],
                condition=~Q(settled_by=""),
                name="found_by_source",
            ),
            models.Index(fields=["environment", "amount", "created_at"], name="found_by_amount"),
            models.Index(fields=["environment", "created_at"], condition=Q(touched=True), name="found_by_touch"),
            models.Index(fields=["merchant_request_id"], name="found_by_merchant_request"),
            # What the board counts every second is read from these alone, however many payments there have been.
            models.Index(
                fields=["environment", "completed_at", "amount", "settled_by", "late"],
                condition=Q(status="COMPLETED"),
                name="paid_when",
            ),
            models.Index(
                fields=["environment", "failed_at", "reason", "settled_by"],
                condition=Q(status="FAILED"),
                name="unpaid_when",
            ),
            models.Index(fields=["environment", "created_at"], condition=Q(status="PENDING"), name="open_since"),
        ]
        permissions = [
            ("query_transaction", "Can ask M-PESA about a payment"),
            ("resend_prompt", "Can send a prompt again"),
            ("use_counter", "Can take payments at the counter"),
            ("add_note", "Can add notes to payments"),
            ("see_full_phone", "Can see the whole phone number of a payment"),
            ("refund_transaction", "Can send money back, or note that it was sent back by hand"),
            ("export_pii", "Can export payments with whole phone numbers and names"),
        ]

    def __str__(self) -> str:
        return f"KES {self.amount:,} · {self.get_status_display()}"

    @property
    def is_made_up(self) -> bool:
        """Whether it belongs to the demo's history: nobody paid it, not even in the simulator."""
        return self.account_reference.startswith(MADE_UP)

    @property
    def currency(self) -> str:
        return CURRENCY


def payments_of(order: Order | uuid.UUID) -> models.QuerySet[Transaction]:
    """Return the order's payments in this environment of M-PESA; what another one has left open counts for nothing."""
    return Transaction.objects.filter(order=order, environment=settings.MPESA_ENVIRONMENT)


class TransactionEvent(models.Model):
    """One line of a payment's history: a change of it, or evidence that changed nothing. Never edited."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="events")
    version = models.PositiveIntegerField(help_text=_("The payment's version after this line"))
    old_status = models.CharField(max_length=9, choices=Status.choices, blank=True)
    new_status = models.CharField(max_length=9, choices=Status.choices)
    reason = models.CharField(max_length=20, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices)
    note = models.CharField(max_length=250, blank=True)
    result_code = models.CharField(max_length=40, blank=True)
    callback = models.ForeignKey("Callback", on_delete=models.SET_NULL, null=True, blank=True, related_name="events")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    action = models.CharField(max_length=12, choices=Action.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("transaction event")
        verbose_name_plural = _("transaction events")

    def __str__(self) -> str:
        return f"{self.source}: {self.new_status} {self.reason}".strip()
