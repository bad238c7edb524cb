"""How a board wants to see: boards of one look are sent the same text, rendered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from payments.search import Search

MOST_FIELDS = 50


@dataclass(frozen=True)
class Look:
    """`query`: the filters as `Search` writes them into an address, always in one order; empty for all payments.

    `wall`: big figures on a screen that everybody sees, and so no payments.
    """

    language: str = "en"
    as_json: bool = False
    wall: bool = False
    query: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any], *, language: str, as_json: bool = False) -> Look:
        """Read the parameters of a page's address; a board for machines hears of every payment."""
        if as_json:
            return cls(language, as_json=True)
        return cls(language, wall=given.get("wall") == "1", query=Search.of(given).query_string)

    @property
    def search(self) -> Search:
        return Search.of(dict(parse_qsl(self.query)))


def read_query(query: str) -> dict[str, str]:
    """Return the parameters of a query string; of one that no page of ours wrote, none."""
    try:
        return dict(parse_qsl(query, max_num_fields=MOST_FIELDS, errors="replace"))
    except ValueError:
        return {}
