from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from middleware import is_framed_by_us


def shop(request: HttpRequest) -> dict[str, Any]:
    """What every page shows: whose shop it is, where it is paid by hand, whether its money is only simulated, and
    whether the demo frames it."""
    return {
        "shop_name": settings.SHOP_NAME,
        "shop_contact": settings.SHOP_CONTACT,
        "pay_bill": settings.MPESA_SHORTCODE,
        "till_number": settings.MPESA_TILL_NUMBER,
        "simulator": settings.SIMULATOR,
        "is_framed": is_framed_by_us(request),
    }
