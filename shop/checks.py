"""What the demo may have left behind in a shop that takes real money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from shop.demo import STAFF_NAME


@register(Tags.database)
def check_demo_staff(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Refuse the demo's login, whose password was printed; looked for only when databases are checked."""
    if settings.SIMULATOR or not databases:
        return []
    try:
        if not get_user_model().objects.filter(username=STAFF_NAME, is_active=True).exists():
            return []
    except DatabaseError:
        return []  # not migrated yet: there is nothing to find
    return [Error(f"The demo user {STAFF_NAME!r} can still log in; delete it or switch it off.", id="papo.E021")]
