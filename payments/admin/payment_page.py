"""The page of one payment: what happened, who told us, what does not add up, and what can be done about it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from logs import redact
from payments.admin.act_forms import resolvable
from payments.admin.acting import ACTS
from payments.admin.common import body_text, shown_evidence
from payments.models import Action, Callback, Delivery, Transaction, TransactionEvent
from payments.phone_numbers import mask_local
from payments.refunds import refundable


def payment_page(
    model_admin: admin.ModelAdmin[Transaction], request: HttpRequest, payment: Transaction
) -> HttpResponse:
    """Show a payment to whoever may see payments; what arrived is for those who may see callbacks."""
    if not model_admin.has_view_permission(request, payment):
        raise PermissionDenied
    events = list(payment.events.select_related("by", "callback"))
    sees_bodies = request.user.has_perm("payments.view_callback")
    is_part = "X-Fragment" in request.headers  # the page's own script asks for what may have changed
    frame: dict[str, Any] = {} if is_part else model_admin.admin_site.each_context(request)
    context = {
        **frame,
        "title": _("Payment of KES %(amount)s") % {"amount": f"{payment.amount:,}"},
        "opts": Transaction._meta,
        "payment": payment,
        "phone": mask_local(payment.phone_number),
        "order": payment.order,
        "attempts": _attempts(payment),
        "timeline": [_line(payment, event, sees_bodies) for event in events],
        "notes": [event for event in events if event.action == Action.NOTE],
        "discrepancies": _discrepancies(payment),
        "callbacks": _callbacks(payment, sees_bodies),
        "delivery": _delivery(payment),
        "acts": [act for act in ACTS.values() if act.may(request.user) and act.is_offered(payment)],
        "may_refund": bool(refundable(payment)) and request.user.has_perm("payments.refund_transaction"),
        "refunds": payment.refunds.select_related("requested_by"),
        "may_resolve": ACTS["resolve"].may(request.user),
    }
    template = "payments/admin/_payment.html" if is_part else "payments/admin/payment.html"
    response = TemplateResponse(request, template, context)
    response.headers["Cache-Control"] = "no-store"
    return response


def _line(payment: Transaction, event: TransactionEvent, sees_bodies: bool) -> dict[str, Any]:
    """Return a line of the history with the seconds since the payment began."""
    return {
        "event": event,
        "after": f"+{max(0.0, (event.created_at - payment.created_at).total_seconds()):,.1f} s",
        "changed": event.old_status != event.new_status,
        "note": redact(event.note),
        "body": body_text(event.callback) if event.callback and sees_bodies else "",
    }


def _attempts(payment: Transaction) -> list[dict[str, Any]]:
    """Return every payment of the order, the first one first."""
    tried = Transaction.objects.filter(order=payment.order_id, environment=payment.environment).order_by("created_at")
    return [
        {"payment": other, "number": number, "phone": mask_local(other.phone_number), "is_this": other == payment}
        for number, other in enumerate(tried, start=1)
    ]


def _delivery(payment: Transaction) -> dict[str, Any] | None:
    """Return how the end of the payment reached its customer; None while it has not ended."""
    told = Delivery.objects.filter(pk=payment.pk).first()
    if told is None:
        return None
    began = told.received_at or told.committed_at
    seen_after = (told.painted_at - began).total_seconds() if told.painted_at else None
    return {"told": told, "seen_after": None if seen_after is None else f"{max(0.0, seen_after):,.2f} s"}


def _discrepancies(payment: Transaction) -> list[dict[str, Any]]:
    can_be_resolved = set(resolvable(payment).values_list("pk", flat=True))
    return [
        {"found": found, "evidence": shown_evidence(found), "can_be_resolved": found.pk in can_be_resolved}
        for found in payment.discrepancies.select_related("resolved_by")
    ]


def _callbacks(payment: Transaction, sees_bodies: bool) -> list[dict[str, Any]]:
    arrived = Callback.objects.filter(transaction_id=payment.pk).order_by("pk")
    return [{"callback": row, "body": body_text(row) if sees_bodies else ""} for row in arrived]
