"""What a browser keeps about its payments: the number as it was typed, in the session; their ids, in a cookie.

The cookie brings a customer back whose tab was closed. It is signed, holds ids and nothing personal, and is set only
where a form was posted: who merely opens somebody's link does not get that payment into a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core import signing
from django.http import HttpRequest, HttpResponse

from payments.models import Transaction

TYPED_KEY = "typed_numbers"
TYPED_KEPT = 20  # numbers a session
COOKIE = "payments"
COOKIE_AGE = timedelta(days=1)
COOKIE_KEPT = 5  # payments


def remember_typed(session: SessionBase, transaction_id: UUID, typed: str) -> None:
    """Let the session that typed the number see it as typed; nobody else does."""
    numbers = {**session.get(TYPED_KEY, {}), str(transaction_id): typed.strip()}
    session[TYPED_KEY] = dict(list(numbers.items())[-TYPED_KEPT:])


def typed_number(session: SessionBase, transaction_id: UUID | str) -> str:
    """Return the number as this session typed it, or nothing."""
    return str(session.get(TYPED_KEY, {}).get(str(transaction_id), ""))


def last_typed_number(session: SessionBase) -> str:
    """Return the number that this session typed last, for its next payment."""
    return str(next(reversed(session.get(TYPED_KEY, {}).values()), ""))


def remember_payment(request: HttpRequest, response: HttpResponse, transaction_id: UUID) -> None:
    """Put a payment at the head of this browser's list."""
    others = [known for known in recent_ids(request) if known != transaction_id]
    ids = [known.hex for known in [transaction_id, *others][:COOKIE_KEPT]]
    response.set_cookie(
        COOKIE,
        signing.dumps(ids, salt=COOKIE),
        max_age=int(COOKIE_AGE.total_seconds()),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def recent_ids(request: HttpRequest) -> list[UUID]:
    """Return the ids of this browser's payments, newest first; nothing from a cookie that is not ours or too old."""
    try:
        ids = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE, max_age=COOKIE_AGE)
        return [UUID(text) for text in ids]
    except (signing.BadSignature, ValueError, TypeError):
        return []


def recent_payments(request: HttpRequest) -> Iterable[Transaction]:
    """Return this browser's payments, newest first; of several attempts at one order the last."""
    ids = recent_ids(request)
    known = Transaction.objects.select_related("order").filter(environment=settings.MPESA_ENVIRONMENT)
    found = known.in_bulk(ids) if ids else {}
    newest_first = [found[transaction_id] for transaction_id in ids if transaction_id in found]
    last_attempts = {payment.order_id: payment for payment in reversed(newest_first)}
    return [payment for payment in newest_first if last_attempts[payment.order_id] == payment]
