"""What staff see of the money. Nothing about a payment can be edited here: a status changes through the one door."""

from __future__ import annotations

import contextlib
import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
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
from payments.review import decide, resolve

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
    """Listed, searched and read; never added to, changed or deleted.

    Found, besides by `search_fields`, by whatever names a payment or its order; `payment` is the way to it.
    """

    payment = "transaction__"
    search_help_text = _("Order, receipt, phone in any form, M-PESA's ids, or our id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        return (found | queryset.filter(_named(term, self.payment)) if term else found), may_have_duplicates


@admin.register(Transaction)
class TransactionAdmin(ReadOnly):
    payment = ""
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
    date_hierarchy = "created_at"
    readonly_fields = ("phone", "created_at", "updated_at", "timeline", "evidence")
    fieldsets = (
        (None, {"fields": ("order", "amount", "phone", "status", "reason", "mpesa_receipt_number", "created_at")}),
        (_("What happened"), {"fields": ("timeline", "evidence")}),
        (_("Marks"), {"fields": ("under_review", "late", "surplus", "earlier_paid", "refunded_amount", "version")}),
        ("M-PESA", {"fields": M_PESA_FIELDS}),
        (_("When"), {"fields": ("prompted_at", "expires_at", "completed_at", "failed_at", "updated_at")}),
        (
            _("Asking M-PESA"),
            {"fields": ("check_after", "checks", "queried_code", "queried_at", "hinted_at", "watched_at")},
        ),
    )
    actions = ("complete_after_review", "leave_unpaid_after_review")

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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may = {"may_decide": self.has_decide_permission(request)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **may})

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=_("Complete after review …"), permissions=["decide"])
    def complete_after_review(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> HttpResponse | None:
        return self._decide(request, queryset, "complete_after_review", _("Complete these payments"))

    @admin.action(description=_("Leave unpaid after review …"), permissions=["decide"])
    def leave_unpaid_after_review(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> HttpResponse | None:
        return self._decide(request, queryset, "leave_unpaid_after_review", _("Leave these payments unpaid"))

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[Transaction], action: str, title: Any
    ) -> HttpResponse | None:
        why = _reason_given(request)
        if not why:
            return _ask_reason(self, request, queryset, action, title)
        paid, by = action == "complete_after_review", _user(request)
        done = sum(decide(payment.pk, paid=paid, by=by, why=why) for payment in list(queryset))
        messages.success(request, _("%(done)d payments were decided.") % {"done": done})
        return None


def _named(term: str, payment: str) -> Q:
    """Return what a search term may name: our ids, an order's number, M-PESA's ids, a phone as typed."""
    compact = term.replace("-", "").replace(" ", "").upper()
    named = {"order__account_number": compact, "mpesa_receipt_number": compact, "checkout_request_id": term}
    with contextlib.suppress(InvalidPhoneNumber):
        named["phone_number"] = normalise_phone_number(term)
    with contextlib.suppress(ValueError):
        named |= {"id": str(uuid.UUID(term)), "order": str(uuid.UUID(term))}
    any_of_them = Q()
    for field, value in named.items():
        any_of_them |= Q(**{f"{payment}{field}": value})
    return any_of_them


def _user(request: HttpRequest) -> AbstractBaseUser:
    if not isinstance(request.user, AbstractBaseUser):
        raise PermissionDenied
    return request.user


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
    search_fields = ("note",)


@admin.register(Callback)
class CallbackAdmin(ReadOnly):
    list_display = ("received_at", "state", "trusted", "copies", "outcome", "transaction_id", "remote_address")
    list_filter = ("state", "trusted", "environment", "received_at")
    search_fields = ("checkout_request_id", "digest")
    exclude = ("body", "dedup_key")
    readonly_fields = ("shown_body",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Callback], search_term: str
    ) -> tuple[QuerySet[Callback], bool]:
        found, may_have_duplicates = admin.ModelAdmin.get_search_results(self, request, queryset, search_term)
        term = search_term.strip()
        about = Transaction.objects.filter(_named(term, "")).values("pk")
        return (found | queryset.filter(transaction_id__in=about) if term else found), may_have_duplicates

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
    search_fields = ("resolution",)
    actions = ("resolve_with_reason",)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=_("Resolve with a reason …"), permissions=["resolve"])
    def resolve_with_reason(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> HttpResponse | None:
        why = _reason_given(request)
        if not why:
            return _ask_reason(self, request, queryset, "resolve_with_reason", _("Resolve these discrepancies"))
        found = list(queryset)
        done = sum(resolve(discrepancy, by=_user(request), why=why) for discrepancy in found)
        messages.success(request, _("%(done)d discrepancies were resolved.") % {"done": done})
        if done < len(found):
            blocking = _("What blocks a payment is resolved by deciding about the payment, and once is enough.")
            messages.warning(request, blocking)
        return None


class PromptGateForm(forms.ModelForm):
    class Meta:
        model = PromptGate
        fields = ("paused", "why")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("paused") and not str(given.get("why", "")).strip():
            self.add_error("why", _("Say why: others will wonder."))
        return given


@admin.register(PromptGate)
class PromptGateAdmin(admin.ModelAdmin):
    """The switch that stops every prompt, for when something is wrong."""

    form = PromptGateForm
    list_display = ("environment", "paused", "why", "changed_at")
    readonly_fields = ("environment", "changed_at")
    fields = ("environment", "paused", "why", "changed_at")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # The row is made by the first prompt; staff must be able to switch before that too.
        PromptGate.objects.get_or_create(environment=settings.MPESA_ENVIRONMENT)
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

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
    search_fields = ("why",)
    search_help_text = _("The phone in any form, or the reason")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UnwantedPhone], search_term: str
    ) -> tuple[QuerySet[UnwantedPhone], bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        with contextlib.suppress(InvalidPhoneNumber):
            found |= queryset.filter(phone_number=normalise_phone_number(search_term))
        return found, may_have_duplicates
