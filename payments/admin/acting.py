"""The acts on a payment's page: one table of what may be done, by whom, and what is asked before.

Each is a page that confirms and a POST that does it, without JavaScript. Who lacks the permission gets neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.act_forms import Found, Note, Nothing, Resolution, Why, resolvable
from payments.admin.common import user_of
from payments.desk import acts
from payments.desk.acts import ActRefused
from payments.models import Reason, Status, Transaction, payments_of
from payments.phone_numbers import mask_local
from payments.review import Money, ReceiptInUse, complete, leave_unpaid, resolve
from shop.models import Order


@dataclass(frozen=True)
class PageAct:
    """One act: its name in the URL, who may, what the page says and asks, when it is offered, and the deed.

    `run` returns what the person reads afterwards; an act that `shows` has it read on its own page and nowhere else.
    """

    name: str
    permission: str
    title: str | Promise
    explains: str | Promise
    form: type[Nothing]
    is_offered: Callable[[Transaction], bool]
    run: Callable[[Transaction, AbstractBaseUser, dict[str, Any]], str]
    shows: bool = False

    def may(self, user: Any) -> bool:
        return bool(user.has_perm("payments.view_transaction") and user.has_perm(self.permission))


def _ask(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    return acts.ask_mpesa(payment, by=by)


def _resend(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    prompted = acts.resend(payment, by=by)
    phone = mask_local(prompted.payment.phone_number)
    return prompted.problem or _("The prompt is on its way to %(phone)s.") % {"phone": phone}


def _note(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    acts.add_note(payment, by=by, text=said["text"])
    return _("The note was added.")


def _see_phone(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    return acts.see_phone(payment, by=by, why=said["why"])


def _complete(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    found = Money(said["amount"], said["receipt"] or None)
    try:
        is_done = complete(payment.pk, found=found, by=by, why=said["why"])
    except ReceiptInUse:
        raise ActRefused(_("Another payment has this receipt.")) from None
    if not is_done:
        raise ActRefused(_("There is nothing to decide about this payment any more."))
    payment.order.refresh_from_db()
    if payment.order.status == Order.Status.OPEN:
        money = {"amount": f"{found.amount:,}", "due": f"{payment.order.amount_due:,}"}
        return _("KES %(amount)s are booked; KES %(due)s of the order are still due.") % money
    return _("The payment is completed.")


def _leave_unpaid(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    if not leave_unpaid(payment.pk, by=by, why=said["why"]):
        raise ActRefused(_("There is nothing to decide about this payment any more."))
    return _("The payment is left unpaid; its order can be paid again.")


def _resolve(payment: Transaction, by: AbstractBaseUser, said: dict[str, Any]) -> str:
    if not resolve(said["discrepancy"], by=by, why=said["why"]):
        raise ActRefused(_("Somebody else has seen to it already."))
    return _("It is noted that this has been seen to.")


def _has_phone(payment: Transaction) -> bool:
    """Whether we know the number at all: of money paid by hand M-PESA tells only parts of it."""
    return payment.phone_number.isdigit()


def _may_be_prompted(payment: Transaction) -> bool:
    is_due = payment.status == Status.FAILED and payment.order.status == "OPEN"
    return is_due and _has_phone(payment) and not payments_of(payment.order).filter(under_review=True).exists()


def _found_unpaid(payment: Transaction) -> bool:
    return payment.status == Status.FAILED and payment.reason == Reason.UNDER_REVIEW


ACTS = {
    act.name: act
    for act in (
        PageAct(
            "ask",
            "payments.query_transaction",
            gettext_lazy("Ask M-PESA now"),
            gettext_lazy("M-PESA is asked what became of this payment, and its answer counts as any other answer."),
            Nothing,
            lambda payment: payment.status != Status.COMPLETED and bool(payment.checkout_request_id),
            _ask,
        ),
        PageAct(
            "resend",
            "payments.resend_prompt",
            gettext_lazy("Send the prompt again"),
            gettext_lazy("The same phone is asked to pay what is due for the order, as if the customer had asked."),
            Nothing,
            _may_be_prompted,
            _resend,
        ),
        PageAct(
            "note",
            "payments.add_note",
            gettext_lazy("Add a note"),
            gettext_lazy("For the others at the desk; customers never read it."),
            Note,
            lambda payment: True,
            _note,
        ),
        PageAct(
            "phone",
            "payments.see_full_phone",
            gettext_lazy("See the whole phone number"),
            gettext_lazy("It is written down that you have seen it."),
            Why,
            _has_phone,
            _see_phone,
            shows=True,
        ),
        PageAct(
            "complete",
            "payments.resolve_discrepancy",
            gettext_lazy("Complete after review"),
            gettext_lazy(
                "You have found the money of this payment: it is booked as you found it. Less than was due leaves the "
                "rest to be paid; more than was due is kept for a refund."
            ),
            Found,
            lambda payment: payment.under_review or _found_unpaid(payment),
            _complete,
        ),
        PageAct(
            "leave-unpaid",
            "payments.resolve_discrepancy",
            gettext_lazy("Leave unpaid after review"),
            gettext_lazy("There is no money of this payment: it stays unpaid, and its order can be paid again."),
            Why,
            lambda payment: payment.under_review,
            _leave_unpaid,
        ),
        PageAct(
            "resolve",
            "payments.resolve_discrepancy",
            gettext_lazy("Resolve a discrepancy"),
            gettext_lazy("Say how it was seen to; it leaves the list of what needs attention."),
            Resolution,
            lambda payment: resolvable(payment).exists(),
            _resolve,
        ),
    )
}


def act_on_payment(
    model_admin: admin.ModelAdmin[Transaction], request: HttpRequest, payment_id: UUID, name: str
) -> HttpResponse:
    """Ask for confirmation (GET) or do it (POST); afterwards the payment's page says what came of it."""
    act = ACTS.get(name)
    if act is None:
        raise Http404
    if not act.may(request.user):
        raise PermissionDenied
    payment = get_object_or_404(model_admin.get_queryset(request).select_related("order"), pk=payment_id)
    initial = {name: value for name, value in request.GET.items() if name in act.form.base_fields}
    form = act.form(request.POST if request.method == "POST" else None, payment=payment, initial=initial)
    if form.is_bound and form.is_valid():
        return _do(model_admin, request, payment, act, form)
    return _page(model_admin, request, payment, act, form)


def _do(
    model_admin: admin.ModelAdmin[Transaction], request: HttpRequest, payment: Transaction, act: PageAct, form: Nothing
) -> HttpResponse:
    try:
        told = act.run(payment, user_of(request), form.cleaned_data)
    except ActRefused as refusal:
        messages.error(request, refusal.detail)
    else:
        if act.shows:
            # Neither in the session nor in a cookie, where a message would wait for the next page.
            return _page(model_admin, request, payment, act, form, shown=told)
        messages.success(request, told)
    return HttpResponseRedirect(payment_url(payment), status=303)


def _page(
    model_admin: admin.ModelAdmin[Transaction],
    request: HttpRequest,
    payment: Transaction,
    act: PageAct,
    form: Nothing,
    shown: str = "",
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": act.title,
        "act": act,
        "form": form,
        "payment": payment,
        "phone": mask_local(payment.phone_number),
        "shown": shown,
        "back": payment_url(payment),
        "opts": Transaction._meta,
    }
    response = TemplateResponse(request, "payments/admin/act.html", context, status=400 if form.errors else 200)
    response.headers["Cache-Control"] = "no-store"
    return response


def payment_url(payment: Transaction) -> str:
    return reverse("admin:payments_transaction_change", args=[payment.pk])
