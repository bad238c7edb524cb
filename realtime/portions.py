"""Many things, a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def portions(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`; the last may be shorter."""
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion
