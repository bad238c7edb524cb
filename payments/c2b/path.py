"""The secret path that M-PESA's confirmations come to. One constant for all of them, so it is evidence of nothing.

Hex, because Safaricom's gateway filters words such as `exe`, `cmd` and `sql`, which hex cannot spell. The environment
takes part, and either key is accepted while rotating.
"""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings


def confirmation_url() -> str:
    """Return the ConfirmationURL for Daraja, built from PUBLIC_BASE_URL and never from a Host header."""
    return f"{settings.PUBLIC_BASE_URL}/payments/c2b/{_segment(settings.C2B_PATH_SECRETS[0])}/confirmation/"


def validation_url() -> str:
    """Return the ValidationURL for Daraja."""
    return f"{settings.PUBLIC_BASE_URL}/payments/c2b/{_segment(settings.C2B_PATH_SECRETS[0])}/validation/"


def is_ours(segment: str) -> bool:
    """Return whether a path's secret part is the present one, or the one before while rotating."""
    given = segment.encode()
    # Every key is tried, whatever the first says: the time must not tell them apart.
    matches = [hmac.compare_digest(_segment(key).encode(), given) for key in settings.C2B_PATH_SECRETS]
    return any(matches)


def _segment(key: str) -> str:
    message = f"c2b:{settings.MPESA_ENVIRONMENT}".encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()[:32]
