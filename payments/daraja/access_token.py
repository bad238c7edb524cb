"""The OAuth token, shared by all threads and processes.

A new token kills the last one (Daraja's portal, page Authorization), so callers who fetched their own would take
each other's away for ever. One row holds the token; whoever finds it stale claims the row for a moment by a guarded
UPDATE and fetches, everybody else waits and reads again. No database transaction is open meanwhile.
"""

from __future__ import annotations

import copy
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Q
from django.utils import timezone

from payments.daraja.errors import DarajaError, DarajaUnreachable
from payments.db import release_connection
from payments.models import DarajaToken

MARGIN = 60  # seconds before expiry from which a token is no longer used; at most half its life
LOOK_AGAIN = 0.05  # seconds between two looks while another process fetches

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Grant:
    """A new token as Daraja gave it; `lifetime` in seconds."""

    access_token: str
    lifetime: float


def current(fetch: Callable[[], Grant], *, rejected: str = "") -> str:
    """Return the token to use; never `rejected`, which Daraja has just refused.

    `fetch` gets a new one and runs at most once at a time. Raises what `fetch` raises, or DarajaUnreachable: in
    either case nothing was sent.
    """
    try:
        return _usable(_row(), rejected) or _refresher.fresh(fetch, rejected)
    except DatabaseError as error:
        raise DarajaUnreachable("The token could not be read or kept") from error


class _Refresher:
    """One fetch at a time in this process; those who waited while it failed share its failure."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._failure: tuple[str, float, DarajaError] | None = None

    def fresh(self, fetch: Callable[[], Grant], rejected: str) -> str:
        asked_at = time.monotonic()
        release_connection()
        if not self._one_at_a_time.acquire(timeout=_lease().total_seconds() * 2):
            raise DarajaUnreachable("No token in time")
        try:
            return self._fetch_or_wait(fetch, rejected, asked_at)
        finally:
            self._one_at_a_time.release()

    def _fetch_or_wait(self, fetch: Callable[[], Grant], rejected: str, asked_at: float) -> str:
        patience_ends = time.monotonic() + _lease().total_seconds() + 1
        while time.monotonic() < patience_ends:
            row = _row()
            if token := _usable(row, rejected):
                return token
            self._share_failure(row.cache_key, asked_at)
            claimed_at = timezone.now()
            if _claim(row, claimed_at):
                return self._fetch(fetch, row.cache_key, claimed_at)
            release_connection()
            time.sleep(LOOK_AGAIN)
        raise DarajaUnreachable("No token in time")

    def _share_failure(self, key: str, asked_at: float) -> None:
        if self._failure and self._failure[0] == key and self._failure[1] >= asked_at:
            raise copy.copy(self._failure[2])

    def _fetch(self, fetch: Callable[[], Grant], key: str, claimed_at: datetime) -> str:
        release_connection()
        try:
            grant = fetch()
        except BaseException as error:
            self._give_up(error, key, claimed_at)
        _keep(grant, key, claimed_at)
        log.info("daraja.token", outcome="fetched", lifetime=round(grant.lifetime))
        return grant.access_token

    def _give_up(self, error: BaseException, key: str, claimed_at: datetime) -> NoReturn:
        """Let the next one try at once, and tell those who are waiting here."""
        if isinstance(error, DarajaError):
            log.warning("daraja.token", outcome=error.outcome, error=str(error))
            self._failure = (key, time.monotonic(), error)
        DarajaToken.objects.filter(pk=key, refreshing_since=claimed_at).update(refreshing_since=None)
        raise error


_refresher = _Refresher()


def _lease() -> timedelta:
    """How long one fetch may take; whoever died in it has lost the claim after this."""
    return timedelta(seconds=settings.DARAJA_CONNECT_TIMEOUT_SECONDS + settings.DARAJA_TIMEOUT_SECONDS + 2)


def cache_key() -> str:
    """Return the row's key: tokens of one environment, address and consumer key never serve another."""
    identity = (settings.MPESA_ENVIRONMENT, settings.DARAJA_BASE_URL, settings.MPESA_CONSUMER_KEY)
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()


def _row() -> DarajaToken:
    return DarajaToken.objects.get_or_create(cache_key=cache_key())[0]


def _usable(row: DarajaToken, rejected: str) -> str | None:
    is_young = row.expires_at is not None and row.expires_at > timezone.now()
    return row.access_token if is_young and row.access_token != rejected else None


def _claim(row: DarajaToken, now: datetime) -> bool:
    """Return whether the row is ours now: unclaimed or abandoned, and still with the token that we found wanting."""
    held = Q(refreshing_since__gt=now - _lease(), refreshing_since__lt=now + _lease())
    rows = DarajaToken.objects.filter(Q(refreshing_since=None) | ~held, pk=row.pk, access_token=row.access_token)
    return rows.update(refreshing_since=now) == 1


def _keep(grant: Grant, key: str, claimed_at: datetime) -> None:
    """Save the token, unless the claim was lost: then a newer one is there, or about to be."""
    usable_for = grant.lifetime - min(MARGIN, grant.lifetime / 2)
    DarajaToken.objects.filter(pk=key, refreshing_since=claimed_at).update(
        access_token=grant.access_token,
        expires_at=timezone.now() + timedelta(seconds=usable_for),
        refreshing_since=None,
    )
