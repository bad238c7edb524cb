"""The list of payments."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from payments.admin.acting import act_on_payment
from payments.admin.common import ReadOnly, ask_reason, reason_given, shown_moment, user_of
from payments.admin.filters import LIST_FILTERS
from payments.admin.payment_page import payment_page
from payments.models import Transaction
from payments.phone_numbers import mask_local
from payments.review import leave_unpaid
from payments.search import SAVED_VIEWS, Search


@admin.register(Transaction)
class TransactionAdmin(ReadOnly):
    """The payments of this environment, the newest first; a payment has a page of its own (payment_page.py)."""

    payment = ""
    list_display = ("when", "order", "phone", "kes", "status", "reason", "mpesa_receipt_number", "settled_by", "marks")
    list_filter = LIST_FILTERS
    list_select_related = ("order",)
    sortable_by = ("when",)  # the one order that has an index behind it
    ordering = ("-created_at",)
    show_facets = admin.ShowFacets.NEVER  # each would count all rows
    actions = ("leave_unpaid_after_review",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        return super().get_queryset(request).filter(environment=settings.MPESA_ENVIRONMENT)

    @admin.display(description=_("When"), ordering="created_at")
    def when(self, payment: Transaction) -> str:
        return shown_moment(payment.created_at)

    @admin.display(description=_("Phone"))
    def phone(self, payment: Transaction) -> str:
        return mask_local(payment.phone_number)

    @admin.display(description="KES")
    def kes(self, payment: Transaction) -> str:
        return f"{payment.amount:,}"

    @admin.display(description=_("Marks"))
    def marks(self, payment: Transaction) -> str:
        """Return what is odd about a payment, in words."""
        marks = {
            _("Under review"): payment.under_review,
            _("Paid late"): payment.late,
            _("Paid twice"): payment.surplus,
        }
        return ", ".join(str(mark) for mark, is_set in marks.items() if is_set)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        search = Search.of(request.GET)
        if search.problem:
            messages.warning(request, search.problem)
        context = {"search": search, "saved_views": SAVED_VIEWS, **(extra_context or {})}
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        payment = self.get_object(request, object_id)
        if payment is None:
            raise Http404
        return payment_page(self, request, payment)

    def get_urls(self) -> list[Any]:
        act = self.admin_site.admin_view(partial(act_on_payment, self))
        return [path("<uuid:payment_id>/do/<slug:name>/", act, name="payments_transaction_act"), *super().get_urls()]

    # Several at once; completing is not among it: each has an amount and a receipt of its own

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=_("Leave unpaid after review …"), permissions=["decide"])
    def leave_unpaid_after_review(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> HttpResponse | None:
        why = reason_given(request)
        if not why:
            return ask_reason(self, request, queryset, "leave_unpaid_after_review", _("Leave these payments unpaid"))
        by = user_of(request)
        done = sum(leave_unpaid(payment.pk, by=by, why=why) for payment in list(queryset))
        messages.success(request, _("%(done)d payments were decided.") % {"done": done})
        return None
