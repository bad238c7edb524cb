"""What the shop's pages may show of payments; looked up only where a template asks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from payments.documents import facts
from payments.remembered import last_typed_number, recent_payments
from payments.screen import screen


def recent(request: HttpRequest) -> dict[str, Any]:
    """Offer the screens of the payments that this browser began within a day, and the number typed for the last."""
    return {
        "recent_payments": SimpleLazyObject(lambda: [screen(facts(payment)) for payment in recent_payments(request)]),
        "last_typed_number": SimpleLazyObject(lambda: last_typed_number(request.session)),
    }
