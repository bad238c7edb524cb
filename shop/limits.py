"""How often one address may do something: counted by the database, so that all workers count together.

An address is kept only as a keyed digest, enough to count by and too little to find anybody. Nothing here touches
the session. RATE_LIMITS=off lifts it all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.transaction import atomic
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from jsonhttp import Problem
from middleware import client_address, one_caller
from shop.request_models import RateCount


@dataclass(frozen=True)
class Limit:
    """At most `most` times within any stretch of time as long as `within`."""

    most: int
    within: timedelta


# Carriers put many customers behind one address: these stop a flood, not a busy hour.
ORDERS_PER_ADDRESS = Limit(200, timedelta(minutes=10))
UNKNOWN_IDS_PER_ADDRESS = Limit(200, timedelta(minutes=1))


class TooOften(Exception):
    """Nothing was done; `retry_after`: seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


def digest(text: str) -> str:
    """Return what stands for `text` in a count; without SECRET_KEY nobody can tell from whom it came."""
    return salted_hmac("papo.limits", text, algorithm="sha256").hexdigest()[:32] if text else ""


def address_digest(text: str) -> str:
    """Return what stands for an address in a count; of IPv6 for the whole /64 that one customer is given.

    Empty where there is no address to count by.
    """
    return digest(one_caller(text))


def count(name: str, who: str, limit: Limit) -> None:
    """Count once more what `who` does, or raise `TooOften`.

    Inside a transaction the count commits with what it counts, and its row's lock keeps others from counting past
    the limit meanwhile.
    """
    if not (settings.RATE_LIMITS and who):
        return
    key = f"{name}.{who}"
    _refuse_full(RateCount.objects.filter(key=key).first(), limit)  # a flood costs reads, not writes
    with atomic():
        row = _locked(key)
        moments = _refuse_full(row, limit)
        now = timezone.now()
        row.moments, row.forget_after = [*moments, now.timestamp()], now + limit.within
        row.save(update_fields=["moments", "forget_after"])


def _refuse_full(row: RateCount | None, limit: Limit) -> list[float]:
    """Return the moments that still count; raise `TooOften` when they are as many as may be."""
    since = (timezone.now() - limit.within).timestamp()
    moments = [moment for moment in (row.moments if row else []) if moment > since]
    if len(moments) < limit.most:
        return moments
    free_at = datetime.fromtimestamp(moments[-limit.most], tz=UTC) + limit.within
    raise TooOften(seconds_until(free_at) or 1)


def _locked(key: str) -> RateCount:
    """Return the locked row of `key`; whoever makes a new one forgets the old ones of others."""
    now = timezone.now()
    row, is_new = RateCount.objects.select_for_update().get_or_create(key=key, defaults={"forget_after": now})
    if is_new:
        RateCount.objects.filter(forget_after__lt=now).exclude(key=key).delete()
    return row


def seconds_until(moment: datetime) -> int:
    return max(0, math.ceil((moment - timezone.now()).total_seconds()))


def calm_words() -> str:
    return _("That was a little too often for now. Please wait a moment and try again.")


def problem(refusal: TooOften) -> Problem:
    """Return the refusal as JSON routes answer it."""
    return Problem(429, "too_often", calm_words(), headers={"Retry-After": str(refusal.retry_after)})


def count_order(request: HttpRequest) -> None:
    """Count an order of this address; raises `TooOften`."""
    count("orders", address_digest(client_address(request)), ORDERS_PER_ADDRESS)


def count_unknown_id(request: HttpRequest) -> None:
    """Count an id that nobody has, for whoever asks for many is guessing; raises `TooOften`."""
    count_unknown_id_from(client_address(request))


def count_unknown_id_from(address: str) -> None:
    """Count an id that nobody has, asked for from this address; raises `TooOften`."""
    count("unknown", address_digest(address), UNKNOWN_IDS_PER_ADDRESS)


def unknown_page(request: HttpRequest) -> HttpResponse:
    """Answer a page of an unknown id: raise Http404, or return 429 to whoever asks for many."""
    try:
        count_unknown_id(request)
    except TooOften as refusal:
        response = render(request, "429.html", status=429)
        response.headers["Retry-After"] = str(refusal.retry_after)
        return response
    raise Http404
