"""What arrived and what does not add up, as lists."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from logs import redact
from payments.admin.common import ReadOnly, ask_reason, folded_body, reason_given, shown_evidence, user_of
from payments.models import Callback, Discrepancy, Transaction, TransactionEvent
from payments.review import resolve
from payments.search import named


class OfThisEnvironment(ReadOnly):
    """Lists what is about this environment's payments; those of another one have no page here."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(transaction__environment=settings.MPESA_ENVIRONMENT)


@admin.register(TransactionEvent)
class TransactionEventAdmin(OfThisEnvironment):
    list_display = (
        "created_at",
        "transaction",
        "source",
        "by",
        "action",
        "old_status",
        "new_status",
        "reason",
        "shown_note",
        "result_code",
    )
    list_filter = ("source", "action", "new_status", "reason", "created_at")
    list_select_related = ("transaction", "by")
    exclude = ("note",)
    readonly_fields = ("shown_note",)

    @admin.display(description=_("note"))
    def shown_note(self, event: TransactionEvent) -> str:
        return redact(event.note)


@admin.register(Callback)
class CallbackAdmin(ReadOnly):
    list_display = ("received_at", "state", "trusted", "copies", "outcome", "transaction_id", "remote_address")
    list_filter = ("state", "trusted", "environment", "received_at")
    exclude = ("body", "dedup_key", "checkout_request_id")
    readonly_fields = ("shown_body",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Callback], search_term: str
    ) -> tuple[QuerySet[Callback], bool]:
        """Find bodies by their own id or digest too: what is of no payment has no other name."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not term.isascii() or not term.isprintable():
            return queryset.none(), False
        about = Q(transaction_id__in=Transaction.objects.filter(named(term)).values("pk"))
        return queryset.filter(about | Q(checkout_request_id=term) | Q(digest=term.lower())), False

    @admin.display(description=_("Body"))
    def shown_body(self, callback: Callback) -> SafeString:
        return folded_body(callback)


class StillOpen(admin.SimpleListFilter):
    title = _("resolved")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Open")), ("no", _("Resolved"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> QuerySet[Discrepancy]:
        is_open = {"yes": True, "no": False}.get(self.value() or "")
        return queryset if is_open is None else queryset.filter(resolved_at__isnull=is_open)


@admin.register(Discrepancy)
class DiscrepancyAdmin(OfThisEnvironment):
    list_display = (
        "opened_at",
        "kind",
        "blocking",
        "transaction",
        "shown_evidence",
        "resolved_at",
        "resolved_by",
        "resolution",
    )
    list_filter = (StillOpen, "kind", "blocking", "opened_at")
    list_select_related = ("transaction", "resolved_by")
    actions = ("resolve_with_reason",)
    exclude = ("evidence", "fingerprint")
    readonly_fields = ("shown_evidence",)

    @admin.display(description=_("evidence"))
    def shown_evidence(self, found: Discrepancy) -> str:
        return shown_evidence(found)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=_("Resolve with a reason …"), permissions=["resolve"])
    def resolve_with_reason(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> HttpResponse | None:
        why = reason_given(request)
        if not why:
            return ask_reason(self, request, queryset, "resolve_with_reason", _("Resolve these discrepancies"))
        found = list(queryset)
        done = sum(resolve(discrepancy, by=user_of(request), why=why) for discrepancy in found)
        messages.success(request, _("%(done)d discrepancies were resolved.") % {"done": done})
        if done < len(found):
            blocking = _("What blocks a payment is resolved by deciding about the payment, and once is enough.")
            messages.warning(request, blocking)
        return None
