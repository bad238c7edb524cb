"""The texts that go to the boards: read, counted and rendered in a thread, once for all boards of one look."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser

from payments.documents import load_facts
from realtime.board import rights, statistics
from realtime.board.look import Look, filters_of
from realtime.change import Change

if TYPE_CHECKING:
    from realtime.board.room import News

Texts = dict[Look, list[str]]


@dataclass(frozen=True)
class Figures:
    """`gist` is the text without what changes by itself with every second."""

    text: str
    gist: str


def look_of(query: str, user: AbstractBaseUser, language: str, as_json: bool) -> Look:
    """Return how the board at this address wants to see."""
    return Look(
        language=language,
        as_json=as_json,
        may_resolve=rights.may_resolve(user),
        query="" if as_json else filters_of(query),
    )


def feed(news: News, looks: Iterable[Look]) -> Texts:
    """Return what each look is sent about payments that have changed."""
    changes = _completed(news)
    return {look: _documents(changes, look) for look in looks if look.as_json}


def figures(looks: Iterable[Look]) -> dict[Look, Figures]:
    """Return the figures as each look shows them."""
    return {look: _totals() for look in looks if look.as_json}


def greeting(look: Look, query: str) -> list[str]:
    """Return what a board is sent when it opens."""
    return [_totals().text]


def _completed(news: News) -> list[Change]:
    """Return every change with its facts; where only the tailer has noticed it they are read now."""
    found = [change or _load(transaction_id) for transaction_id, change in news.items()]
    return [change for change in found if change is not None]


def _load(transaction_id: UUID) -> Change | None:
    facts = load_facts(transaction_id)
    return Change(facts) if facts else None


def _documents(changes: Iterable[Change], look: Look) -> list[str]:
    return [f'{{"type": "payment", "payment": {change.text(look.language, as_json=True)}}}' for change in changes]


def _totals() -> Figures:
    now = statistics.now.get()
    totals: dict[str, Any] = {
        name: {
            "amount": period.amount,
            "completed": period.completed,
            "failed": period.failed,
            "pending": now.pending,
        }
        for name, period in (("today", now.today), ("hour", now.hour))
    }
    as_of = now.as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Figures(json.dumps({"type": "totals", **totals, "as_of": as_of}), json.dumps(totals))
