from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def shop(request: HttpRequest) -> dict[str, Any]:
    """What every page shows: whose shop it is, and whether its money is only simulated."""
    return {
        "shop_name": settings.SHOP_NAME,
        "shop_contact": settings.SHOP_CONTACT,
        "simulator": settings.SIMULATOR,
    }
