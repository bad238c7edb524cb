"""Who may see the board. Read anew from the database each time: rights are taken away while a board is open."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest, parse_cookie

from middleware import holds_nul

MAY_SEE = "payments.view_transaction"


def may_see(user: Any) -> bool:
    """Return whether `user` is staff at work who may look at payments."""
    return bool(user.is_active and user.is_staff and user.has_perm(MAY_SEE))


def staff_of(headers: list[tuple[bytes, bytes]]) -> AbstractBaseUser | None:
    """Return whose session the cookie among a socket's headers names, or None unless that one may see the board.

    A session that has ended, was logged out of, or is older than the user's password is nobody's.
    """
    cookies = parse_cookie("; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie"))
    store = import_module(settings.SESSION_ENGINE).SessionStore
    session_key = cookies.get(settings.SESSION_COOKIE_NAME, "")
    if holds_nul(session_key):
        return None  # PostgreSQL would refuse to look for it
    request = HttpRequest()
    request.session = store(session_key or None)
    user = get_user(request)
    return None if isinstance(user, AnonymousUser) or not may_see(user) else user
