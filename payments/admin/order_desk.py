"""The order desk's page: two columns of what waits, one press each; it follows what the others press."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from payments.admin.common import user_of
from payments.desk.orders import MOST_SHOWN, Fulfilment, just_handed_over, press, sent_back, waiting

_STEPS = (Fulfilment.PACKED, Fulfilment.HANDED_OVER)


@require_GET
def order_desk(request: HttpRequest) -> HttpResponse:
    """Show what waits; to the page's own script only the part that changes."""
    if not request.user.has_perm("shop.view_order"):
        raise PermissionDenied
    context = {"columns": _columns(), "may_press": request.user.has_perm("shop.fulfil_order")}
    if request.headers.get("X-Fragment"):
        response = render(request, "payments/admin/_orders.html", context)
    else:
        context |= {**admin.site.each_context(request), "title": _("Order desk")}
        response = render(request, "payments/admin/orders.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


def _columns() -> list[dict[str, Any]]:
    to_pack, packed = waiting(Fulfilment.TO_PACK), waiting(Fulfilment.PACKED)
    columns = [
        _column("to-pack", _("To be packed"), to_pack, step=Fulfilment.PACKED, press=_("Packed")),
        _column(
            "packed",
            _("To be handed over"),
            packed,
            step=Fulfilment.HANDED_OVER,
            press=_("Handed over"),
            undo=Fulfilment.PACKED,
        ),
        _column("gone", _("Just handed over"), just_handed_over(), undo=Fulfilment.HANDED_OVER),
    ]
    returned = _column("sent-back", _("Sent back: do not hand over"), sent_back())
    return [returned, *columns] if returned["orders"] else columns


def _column(name: str, title: str, orders: Any, *, step: str = "", press: str = "", undo: str = "") -> dict[str, Any]:
    shown = list(orders[: MOST_SHOWN + 1])
    return {
        "name": name,
        "title": title,
        "orders": shown[:MOST_SHOWN],
        "has_more": len(shown) > MOST_SHOWN,
        "step": step,
        "press": press,
        "undo": undo,
    }


@require_POST
def move(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Do what one press says: `step` forward, or `undo` of a step."""
    if not request.user.has_perm("shop.fulfil_order"):
        raise PermissionDenied
    undo = "undo" in request.POST
    named = request.POST.get("undo" if undo else "step")
    if named not in _STEPS:
        raise BadRequest("not from our buttons")
    if not press(order_id, Fulfilment(named), by=user_of(request), undo=undo):
        messages.warning(request, _("That order has moved on already, its money went back, or it is too late to undo."))
    return HttpResponseRedirect(reverse("order_desk"), status=303)
