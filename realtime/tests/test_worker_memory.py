"""What a request leaves behind it is found while the worker serves, not in a walk that comes once in days."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from realtime.worker import COLLECT_AFTER

REQUESTS = 1_000_000  # objects of as many requests as one worker answers in half an hour or less


class Ring:
    """An object that only the collector can free, as a request with its task and its traceback is."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _as_in_a_worker() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AFTER)
    yield
    gc.set_threshold(*before)


def test_what_was_being_answered_during_one_walk_is_freed_by_one_of_the_next() -> None:
    ring = Ring()
    is_there = weakref.ref(ring)
    gc.collect(0)  # the request outlives a walk
    del ring
    others: list[list[int]] = [[] for _object in range(REQUESTS)]
    assert is_there() is None
    assert len(others) == REQUESTS
