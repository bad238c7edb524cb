"""What staff see of the money. Nothing about a payment can be edited here: a status changes through the one door."""

from __future__ import annotations

import contextlib
import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from logs import redact
from payments.models import Callback, Discrepancy, PromptGate, Transaction, TransactionEvent, UnwantedPhone
from payments.phone_numbers import LONGEST_TYPED, InvalidPhoneNumber, mask_local, normalise_phone_number
from payments.review import complete_by_decision, resolve

M_PESA_FIELDS = (
    "environment",
    "business_short_code",
    "account_reference",
    "merchant_request_id",
    "checkout_request_id",
    "result_code",
    "result_desc",
    "failed_by",
)
SHOWN_OF_BODY = 2_000  # characters


class ReadOnly(admin.ModelAdmin):
    """Listed, searched and read; never added to, changed or deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Transaction)
class TransactionAdmin(ReadOnly):
    list_display = (
        "created_at",
        "order",
        "phone",
        "amount",
        "status",
        "reason",
        "mpesa_receipt_number",
        "late",
        "surplus",
    )
    list_filter = ("status", "reason", "under_review", "late", "surplus", "environment", "created_at")
    list_select_related = ("order",)
    search_fields = ("mpesa_receipt_number", "checkout_request_id", "merchant_request_id", "account_reference")
    search_help_text = _("Order, receipt, phone in any form, M-PESA's ids, or our id")
    date_hierarchy = "created_at"
    readonly_fields = ("phone", "created_at", "updated_at", "timeline", "evidence")
    fieldsets = (
        (None, {"fields": ("order", "amount", "phone", "status", "reason", "mpesa_receipt_number", "created_at")}),
        (_("What happened"), {"fields": ("timeline", "evidence")}),
        (_("Marks"), {"fields": ("under_review", "late", "surplus", "earlier_paid", "refunded_amount", "version")}),
        ("M-PESA", {"fields": M_PESA_FIELDS}),
        (_("When"), {"fields": ("prompted_at", "expires_at", "completed_at", "failed_at", "updated_at")}),
        (_("Asking M-PESA"), {"fields": ("check_after", "checks", "queried_code", "queried_at", "hinted_at")}),
    )
    actions = ("complete_after_review",)

    @admin.display(description=_("Phone"))
    def phone(self, payment: Transaction) -> str:
        return mask_local(payment.phone_number)

    @admin.display(description=_("Timeline"))
    def timeline(self, payment: Transaction) -> SafeString:
        """Return every line of the payment's history, with the seconds since it began."""
        rows = (
            (
                f"+{(event.created_at - payment.created_at).total_seconds():.1f} s",
                event.version,
                event.get_source_display(),
                event.get_new_status_display(),
                event.reason,
                event.note,
                event.result_code,
            )
            for event in payment.events.all()
        )
        return _table((_("After"), _("Version"), _("Source"), _("Status"), _("Reason"), _("Note"), _("Code")), rows)

    @admin.display(description=_("Evidence"))
    def evidence(self, payment: Transaction) -> SafeString:
        """Return what arrived for this payment, redacted and collapsed, and what does not add up."""
        callbacks = Callback.objects.filter(transaction_id=payment.pk)
        rows = (
            (_when(row.received_at), row.get_state_display(), row.copies, row.outcome, _body(row)) for row in callbacks
        )
        found = (
            (_when(row.opened_at), row.get_kind_display(), row.evidence, row.resolution)
            for row in payment.discrepancies.all()
        )
        return _table((_("Callback"), _("State"), _("Copies"), _("Outcome"), _("Body")), rows) + _table(
            (_("Discrepancy"), _("Kind"), _("Evidence"), _("Resolution")), found
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transaction], search_term: str
    ) -> tuple[QuerySet[Transaction], bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        return found | queryset.filter(_named(search_term.strip())), may_have_duplicates

    def has_complete_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=_("Complete after review …"), permissions=["complete"])
    def complete_after_review(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> HttpResponse | None:
        why = _reason_given(request)
        if not why:
            return _ask_reason(self, request, queryset, "complete_after_review", _("Complete these payments"))
        done = sum(complete_by_decision(payment, by=request.user, why=why) for payment in queryset)  # type: ignore[arg-type]
        for payment in queryset:
            self.log_change(request, payment, f"Completed after review: {why}")
        messages.success(request, _("%(done)d payments were completed.") % {"done": done})
        return None


def _named(term: str) -> Q:
    """Return what a search term may name besides M-PESA's ids: our ids, an order's number, a phone as typed."""
    compact = term.replace("-", "").replace(" ", "").upper()
    named = Q(order__account_number=compact)
    with contextlib.suppress(InvalidPhoneNumber):
        named |= Q(phone_number=normalise_phone_number(term))
    with contextlib.suppress(ValueError):
        named |= Q(pk=uuid.UUID(term)) | Q(order=uuid.UUID(term))
    return named


def _when(moment: datetime) -> str:
    return date_format(localtime(moment), "j M Y, H:i:s")


def _body(callback: Callback) -> SafeString:
    text = redact(bytes(callback.body).decode(errors="replace"))[:SHOWN_OF_BODY]
    return format_html("<details><summary>{}</summary><pre>{}</pre></details>", _("Show"), text)


def _table(heads: tuple[Any, ...], rows: Any) -> SafeString:
    head = format_html_join("", "<th>{}</th>", ((name,) for name in heads))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((c,) for c in row)),) for row in rows)
    )
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)


def _reason_given(request: HttpRequest) -> str:
    return str(request.POST.get("why", "")).strip() if request.POST.get("decided") else ""


def _ask_reason(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any], action: str, title: Any
) -> HttpResponse:
    """Show the page on which staff say why; without a reason nothing happens."""
    if not request.user.has_perm("payments.resolve_discrepancy"):
        raise PermissionDenied
    context = {**model_admin.admin_site.each_context(request), "title": title, "chosen": queryset, "action": action}
    return TemplateResponse(request, "payments/admin_reason.html", context)


@admin.register(TransactionEvent)
class TransactionEventAdmin(ReadOnly):
    list_display = ("created_at", "transaction", "source", "old_status", "new_status", "reason", "note", "result_code")
    list_filter = ("source", "new_status", "reason", "created_at")
    list_select_related = ("transaction",)
    search_fields = ("transaction__mpesa_receipt_number", "transaction__checkout_request_id", "note")


@admin.register(Callback)
class CallbackAdmin(ReadOnly):
    list_display = ("received_at", "state", "trusted", "copies", "outcome", "transaction_id", "remote_address")
    list_filter = ("state", "trusted", "environment", "received_at")
    search_fields = ("checkout_request_id", "digest")
    exclude = ("body", "dedup_key")
    readonly_fields = ("shown_body",)

    @admin.display(description=_("Body"))
    def shown_body(self, callback: Callback) -> SafeString:
        return _body(callback)


class StillOpen(admin.SimpleListFilter):
    title = _("resolved")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Open")), ("no", _("Resolved"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> QuerySet[Discrepancy]:
        is_open = {"yes": True, "no": False}.get(self.value() or "")
        return queryset if is_open is None else queryset.filter(resolved_at__isnull=is_open)


@admin.register(Discrepancy)
class DiscrepancyAdmin(ReadOnly):
    list_display = (
        "opened_at",
        "kind",
        "blocking",
        "transaction",
        "evidence",
        "resolved_at",
        "resolved_by",
        "resolution",
    )
    list_filter = (StillOpen, "kind", "blocking", "opened_at")
    list_select_related = ("transaction", "resolved_by")
    search_fields = ("transaction__mpesa_receipt_number", "transaction__order__account_number")
    actions = ("resolve_with_reason",)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=_("Resolve with a reason …"), permissions=["resolve"])
    def resolve_with_reason(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> HttpResponse | None:
        why = _reason_given(request)
        if not why:
            return _ask_reason(self, request, queryset, "resolve_with_reason", _("Resolve these discrepancies"))
        done = sum(resolve(discrepancy, by=request.user, why=why) for discrepancy in queryset)  # type: ignore[arg-type]
        for discrepancy in queryset:
            self.log_change(request, discrepancy, f"Resolved: {why}")
        messages.success(request, _("%(done)d discrepancies were resolved.") % {"done": done})
        return None


@admin.register(PromptGate)
class PromptGateAdmin(admin.ModelAdmin):
    """The switch that stops every prompt, for when something is wrong."""

    list_display = ("environment", "paused", "why", "changed_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UnwantedPhoneForm(forms.ModelForm):
    phone_number = forms.CharField(label=_("Phone number"), max_length=LONGEST_TYPED)

    class Meta:
        model = UnwantedPhone
        fields = ("phone_number", "why")

    def clean_phone_number(self) -> str:
        """Take the number in any form that people write it in."""
        try:
            return normalise_phone_number(self.cleaned_data["phone_number"])
        except InvalidPhoneNumber:
            raise forms.ValidationError(_("Enter a Safaricom number, like 0712 345 678.")) from None


@admin.register(UnwantedPhone)
class UnwantedPhoneAdmin(admin.ModelAdmin):
    form = UnwantedPhoneForm
    list_display = ("__str__", "why", "created_at")
