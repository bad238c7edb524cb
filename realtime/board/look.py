"""How a board wants to see: boards of one look are sent the same text, rendered once."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

FILTERS = ("q", "status", "reason", "since", "until", "least", "most", "source", "touched")


@dataclass(frozen=True)
class Look:
    """`query`: the filters as they stand in the page's address, in one order; empty for all payments."""

    language: str = "en"
    as_json: bool = False
    wall: bool = False
    may_resolve: bool = False
    query: str = ""

    @property
    def filters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query))


def filters_of(query: str) -> str:
    """Return the filters of a query string in one order, without those that are empty."""
    given = dict(parse_qsl(query, max_num_fields=50, encoding="utf-8", errors="replace"))
    return urlencode([(name, given[name].strip()) for name in FILTERS if given.get(name, "").strip()])
