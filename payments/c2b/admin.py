"""The staff's inbox of money that came by hand, and of customers who say that they have paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from payments.admin.common import ReadOnly, folded_body, reason_given, user_of
from payments.c2b import desk
from payments.c2b.message import account_named
from payments.models import Confirmation, ReceiptClaim
from payments.phone_numbers import mask_local

PERMISSION = "payments.match_confirmation"


class ByHand(ReadOnly):
    """A list whose search takes a receipt or an account number, and whose actions want a reason."""

    search_help_text = _("Receipt, or account number")
    receipt = "trans_id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = account_named(search_term)
        if not term:
            return queryset, False
        return queryset.filter(Q(**{self.receipt: term}) | Q(order__account_number=term)), False

    def has_match_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def decide(
        self, request: HttpRequest, queryset: QuerySet[Any], action: str, title: Any, do: Callable[..., bool]
    ) -> HttpResponse | None:
        """Ask why, then do it to each; what was settled meanwhile stays as it is, and is counted."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        why, chosen = reason_given(request), list(queryset)
        if not why:
            return self.ask(request, chosen, action, title)
        done = sum(do(one, by=user_of(request), why=why) for one in chosen)
        messages.success(request, _("%(done)d of %(all)d done.") % {"done": done, "all": len(chosen)})
        return None

    def ask(self, request: HttpRequest, chosen: list[Any], action: str, title: Any, **extra: Any) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "chosen": chosen, "action": action}
        return TemplateResponse(request, "payments/admin/by_hand.html", {**context, **extra})


@admin.register(Confirmation)
class ConfirmationAdmin(ByHand):
    list_display = ("received_at", "state", "trans_id", "amount", "bill_ref_number", "payer", "order", "outcome")
    list_filter = ("state", "is_trusted", "environment", "received_at")
    list_select_related = ("order",)
    exclude = ("body", "dedup_key", "msisdn")
    readonly_fields = ("payer", "shown_body")
    actions = ("match_to_order", "set_aside")

    @admin.display(description=_("Phone"))
    def payer(self, confirmation: Confirmation) -> str:
        return mask_local(confirmation.msisdn)

    @admin.display(description=_("Body"))
    def shown_body(self, confirmation: Confirmation) -> SafeString:
        return folded_body(confirmation)

    @admin.action(description=_("Match to an order …"), permissions=["match"])
    def match_to_order(self, request: HttpRequest, queryset: QuerySet[Confirmation]) -> HttpResponse | None:
        title = _("Count this money for an order")
        typed = request.POST.get("account", "")
        order = desk.order_named(typed)
        if reason_given(request) and order is None:
            error = _("There is no order with this account number.")
            return self.ask(request, list(queryset), "match_to_order", title, account=typed, error=error, named=True)
        if order is None:
            return self.ask(request, list(queryset), "match_to_order", title, named=True)

        def match(one: Confirmation, **who: Any) -> bool:
            return desk.match(one, order, **who)

        return self.decide(request, queryset, "match_to_order", title, match)

    @admin.action(description=_("Set aside …"), permissions=["match"])
    def set_aside(self, request: HttpRequest, queryset: QuerySet[Confirmation]) -> HttpResponse | None:
        return self.decide(request, queryset, "set_aside", _("Set these aside"), desk.set_aside)


@admin.register(ReceiptClaim)
class ReceiptClaimAdmin(ByHand):
    receipt = "code"
    list_display = ("claimed_at", "state", "code", "order", "outcome", "closed_by")
    list_filter = ("state", "environment", "claimed_at")
    list_select_related = ("order", "closed_by")
    actions = ("close",)

    @admin.action(description=_("Close …"), permissions=["match"])
    def close(self, request: HttpRequest, queryset: QuerySet[ReceiptClaim]) -> HttpResponse | None:
        return self.decide(request, queryset, "close", _("Close these claims"), desk.close)
