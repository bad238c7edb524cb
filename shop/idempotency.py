"""`Idempotency-Key`: the repetition of a POST repeats its answer instead of its effect.

A key is bound to its scope (the route and, for a push, its order) and to the body. Only answers after which
something exists are kept (2xx and `outcome_unknown`); after any other the same key may be tried again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

from django.db import IntegrityError
from django.db.transaction import atomic
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from jsonhttp import Problem
from shop.request_models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
FORGOTTEN_AT_ONCE = 100  # keys
RENEWED_EVERY = 2.0  # seconds; a request that runs says so, however long Daraja takes
DEAD_AFTER = timedelta(seconds=10)  # one that has not said so for so long died with its process
_KEY = re.compile(r"[\x20-\x7e]{16,255}")
_running: set[int] = set()  # claims of requests that run in this process
_abandoned: set[int] = set()  # claims of this process that ended while the database was away, so they still stand


class Claim:
    """One use of a key. As a context it lets the key be tried again unless an answer was kept inside."""

    def __init__(self, row: IdempotencyKey | None) -> None:
        self.row = row

    def __enter__(self) -> Self:
        if self.row is not None and self.answered is None:
            _running.add(self.row.pk)
        return self

    def __exit__(self, *error: object) -> None:
        if self.row is None:
            return
        _running.discard(self.row.pk)
        _abandoned.add(self.row.pk)
        _give_up(self.row)

    @property
    def answered(self) -> tuple[int, dict[str, Any]] | None:
        """Status code and ids of the kept answer, or None when this request is the first."""
        if self.row is None or self.row.status_code is None:
            return None
        return self.row.status_code, self.row.result

    def keep(self, status_code: int, result: dict[str, Any]) -> bool:
        """Keep the answer for the repetitions; False when this process was believed dead and another has the key."""
        if self.row is None:
            return True
        mine = IdempotencyKey.objects.filter(pk=self.row.pk)
        return mine.update(status_code=status_code, result=result) == 1


def claim(request: HttpRequest, scope: str, body: object) -> Claim:
    """Claim the request's Idempotency-Key; without one every request is the first.

    Raises `Problem`: 400 for a malformed key, 409 `in_progress`, 422 for one used with another body.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return Claim(None)
    if not _KEY.fullmatch(key):
        raise Problem(
            400, "idempotency_key_invalid", _("Idempotency-Key must have 16 to 255 printable ASCII characters.")
        )
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    _forget_old(scope, key)
    _forget_others()
    return _claim(scope, key, digest)


def _give_up(row: IdempotencyKey) -> None:
    """Let the key of a claim that has ended be tried again; without a database that is left to the next try."""
    IdempotencyKey.objects.filter(pk=row.pk, status_code=None).delete()
    _abandoned.discard(row.pk)


def _claim(scope: str, key: str, digest: str) -> Claim:
    try:
        with atomic():
            row = IdempotencyKey.objects.create(scope=scope, key=key, body_digest=digest)
    except IntegrityError:
        return _repeated(scope, key, digest)
    return Claim(row)


def _forget_old(scope: str, key: str) -> None:
    same = IdempotencyKey.objects.filter(scope=scope, key=key)
    same.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    same.filter(status_code=None, created_at__lt=timezone.now() - DEAD_AFTER).delete()


def _forget_others() -> None:
    """Forget some keys that are too old: each new one takes away more than it adds, so their number stays bounded."""
    too_old = IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT_FOR)
    if not too_old.exists():
        return
    with atomic():
        # Two that come at once must not wait for each other's rows.
        free = too_old.select_for_update(skip_locked=True).order_by("created_at").values_list("pk", flat=True)
        too_old.filter(pk__in=list(free[:FORGOTTEN_AT_ONCE])).delete()


def renew() -> None:
    """Say of this process's requests that they still run, so that nobody takes their keys; call it now and then."""
    running = list(_running)
    if running:
        IdempotencyKey.objects.filter(pk__in=running, status_code=None).update(created_at=timezone.now())


def _repeated(scope: str, key: str, digest: str) -> Claim:
    row = IdempotencyKey.objects.filter(scope=scope, key=key).first()
    if row is not None and row.body_digest != digest:
        raise Problem(422, "idempotency_key_reused", _("This Idempotency-Key was used with another request."))
    if row is not None and row.pk in _abandoned:
        _give_up(row)
        return _claim(scope, key, digest)
    if row is None or row.status_code is None:
        raise still_running()
    return Claim(row)


def still_running() -> Problem:
    """Return the refusal of a request that another one with the same key is ahead of."""
    return Problem(409, "in_progress", _("The first request with this Idempotency-Key is still running."))


@contextmanager
def once(scope: str, key: str) -> Iterator[Claim]:
    """Do something once for a key of our own, and keep its answer, in one transaction.

    Whoever comes at the same time waits until the first has committed and then finds `answered`.
    """
    with atomic():
        row, is_first = IdempotencyKey.objects.get_or_create(scope=scope, key=key)
        if is_first:
            _forget_others()
        with Claim(row) as claim:
            yield claim
