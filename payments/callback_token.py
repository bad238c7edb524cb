"""The secret in each payment's CallBackURL: `<32 hex of the id>.<32 hex of its MAC>`.

Daraja signs nothing, so this is what tells its callbacks from a stranger's. Checking one costs one HMAC and no
query. Hex, because base64 would now and then spell `exe`, `cmd` or `sql`, which Safaricom's gateway filters. The
environment takes part: a sandbox token means nothing in production.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid

from django.conf import settings

_SHAPE = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})")


def make_callback_token(subject_id: uuid.UUID, *, use: str = "") -> str:
    """Return the token of a payment, made with the first key; `use`: for another route than its callback's."""
    return f"{subject_id.hex}.{_mac(subject_id.hex, settings.CALLBACK_SECRETS[0], use)}"


def read_callback_token(token: str, *, use: str = "") -> uuid.UUID | None:
    """Return what `token` was made for on this route, or None; either key is accepted while rotating."""
    shape = _SHAPE.fullmatch(token)
    if not shape:
        return None
    # Every key is tried, whatever the first says: the time must not tell them apart.
    matches = [hmac.compare_digest(_mac(shape[1], key, use), shape[2]) for key in settings.CALLBACK_SECRETS]
    return uuid.UUID(shape[1]) if any(matches) else None


def callback_url(transaction_id: uuid.UUID) -> str:
    """Return the CallBackURL for Daraja, built from PUBLIC_BASE_URL and never from a Host header."""
    return f"{settings.PUBLIC_BASE_URL}/payments/callback/{make_callback_token(transaction_id)}/"


def _mac(subject_hex: str, key: str, use: str) -> str:
    message = f"{settings.MPESA_ENVIRONMENT}:{use}{subject_hex}".encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()[:32]
