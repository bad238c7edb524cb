"""The supervisor's pages for money back: what should go back, the form, and what became of it. No JavaScript."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from payments import refunds
from payments.admin.common import ReadOnly, folded_body, shown_moment, user_of
from payments.models import ConversationResult, Discrepancy, Refund, Transaction
from payments.phone_numbers import mask_local
from payments.refunds.decisions import PERMISSION, prepared, waiting_for_person
from shop.models import LARGEST_AMOUNT

FACTS = (
    *("transaction", "phone", "amount", "method", "reason", "state", "outcome", "receipt"),
    *("requested_by", "requested_at", "needs_second_person", "approved_by", "approved_at"),
    *("sent_at", "ended_at", "ask_after", "asked", "conversation", "evidence", "environment"),
)


class RefundForm(forms.Form):
    """What the person types; the amount is never filled in, for typing it is the second look."""

    amount = forms.IntegerField(label=_("Amount in KES"), min_value=1, max_value=LARGEST_AMOUNT)
    reason = forms.CharField(label=_("Why? It is kept with the payment."), max_length=200)
    method = forms.ChoiceField(label=_("How"), choices=Refund.Method.choices, widget=forms.RadioSelect)
    reference = forms.CharField(
        label=_("By hand: the receipt or reference, if there is one"), max_length=40, required=False
    )
    key = forms.UUIDField(widget=forms.HiddenInput)  # the refund's id: sent twice, the form is one refund


@admin.register(Refund)
class RefundAdmin(ReadOnly):
    list_display = ("requested_at", "transaction", "amount", "method", "state", "reason", "requested_by", "approved_by")
    list_filter = ("state", "method", "environment", "requested_at")
    list_select_related = ("transaction", "requested_by", "approved_by")
    date_hierarchy = "requested_at"
    fields = FACTS
    readonly_fields = ("phone", "evidence")

    @admin.display(description=_("Phone"))
    def phone(self, refund: Refund) -> str:
        return mask_local(refund.transaction.phone_number)

    @admin.display(description=_("What arrived"))
    def evidence(self, refund: Refund) -> SafeString | str:
        """Return what M-PESA posted about it, and about our questions, redacted and folded."""
        about = ConversationResult.objects.filter(conversation__subject=str(refund.pk))
        rows = ((shown_moment(row.received_at), row.outcome, row.copies, folded_body(row)) for row in about)
        return format_html_join("", "<div>{} · {} · {} × {}</div>", rows) or "–"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("for/<uuid:transaction_id>/", view(self.prepare), name="payments_refund_prepare"),
            path("<uuid:refund_id>/decide/", view(self.decide), name="payments_refund_decide"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may = request.user.has_perm(PERMISSION)
        shown = {"prepared": prepared() if may else [], "waiting": waiting_for_person() if may else []}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = {"may_refund": request.user.has_perm(PERMISSION)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def prepare(self, request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
        """Show what can go back of a payment, and write down what the supervisor types."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        payment = get_object_or_404(Transaction.objects.select_related("order"), pk=transaction_id)
        found = payment.discrepancies.filter(resolved_at=None)
        form = RefundForm(request.POST or None, initial=_first(found))
        if request.method == "POST" and form.is_valid():
            try:
                return self._shown(request, _begin(request, payment, form.cleaned_data))
            except refunds.RefundRefused as refusal:
                form.add_error(None, str(refusal))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Give money back"),
            "payment": payment,
            "phone": mask_local(payment.phone_number),
            "most": refunds.refundable(payment),
            "found": found,
            "form": form,
        }
        return TemplateResponse(request, "payments/refund_prepare.html", context)

    def decide(self, request: HttpRequest, refund_id: uuid.UUID) -> HttpResponse:
        """Do what a button of the refund's page says; a refusal is told there."""
        if request.method != "POST":
            raise Http404
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        refund = get_object_or_404(Refund, pk=refund_id)
        try:
            refund = _decide(request, refund)
        except refunds.RefundRefused as refusal:
            messages.error(request, str(refusal))
            return self._page(refund)
        return self._shown(request, refund)

    def _shown(self, request: HttpRequest, refund: Refund) -> HttpResponse:
        if refund.waits_for_second_person:
            messages.warning(request, _("A second person has to approve this before it goes out."))
        else:
            messages.info(request, f"{refund}: {refund.outcome}")
        return self._page(refund)

    def _page(self, refund: Refund) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:payments_refund_change", args=[refund.pk]))


def _first(found: Any) -> dict[str, Any]:
    """Return what a prepared refund begins with; its reason is what does not add up about the payment."""
    words = ", ".join(str(Discrepancy.Kind(finding.kind).label) for finding in found)
    return {"reason": words, "method": Refund.Method.REVERSAL, "key": uuid.uuid4()}


def _begin(request: HttpRequest, payment: Transaction, given: dict[str, Any]) -> Refund:
    typed = {name: given[name] for name in ("amount", "reason", "key")} | {"by": user_of(request)}
    if given["method"] == Refund.Method.BY_HAND:
        return refunds.record_by_hand(payment.pk, reference=given["reference"], **typed)
    return refunds.send(refunds.request_reversal(payment.pk, **typed))


def _decide(request: HttpRequest, refund: Refund) -> Refund:
    by, decision = user_of(request), request.POST.get("decision")
    why, receipt = str(request.POST.get("why", "")).strip(), str(request.POST.get("receipt", ""))
    if decision == "approve":
        return refunds.send(refunds.approve(refund.pk, by=by))
    if decision == "send":
        return refunds.send(refund)
    if not why:
        raise refunds.RefundRefused(str(_("Say why: it is kept with the payment.")))
    if decision == "decline":
        return refunds.decline(refund.pk, by=by, why=why)
    if decision in {"done", "not_done"}:
        sent_back = decision == "done"
        return refunds.settle_unknown(refund.pk, sent_back=sent_back, by=by, why=why, receipt=receipt)
    raise Http404
