"""How long Daraja takes to answer this process, and how often it does not: what `/metrics` shows of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from prometheus_client import Histogram

_REQUEST = re.compile(r"/([a-z0-9]+)/v\d+/[a-z]+")
_seconds = Histogram(
    "papo_daraja_seconds",
    "This process's requests to Daraja: how long, and `answered`, `refused` (status 400 or more) or `failed`",
    ["request", "outcome"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20),
    registry=None,
)
collect = _seconds.collect


class Timing:
    """One request; whoever gets an answer says with which HTTP status."""

    http_status: int | None = None

    @property
    def outcome(self) -> str:
        if self.http_status is None:
            return "failed"
        return "answered" if self.http_status < 400 else "refused"


@contextmanager
def timed(url: str) -> Iterator[Timing]:
    """Count a request to `url` by the word before its version (`stkpush`, `stkpushquery`, `oauth`), however it ends."""
    named = _REQUEST.search(urlsplit(url).path)
    timing, began = Timing(), time.perf_counter()
    try:
        yield timing
    finally:
        labels = named[1] if named else "other", timing.outcome
        _seconds.labels(*labels).observe(time.perf_counter() - began)
