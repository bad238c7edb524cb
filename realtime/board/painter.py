"""The texts that go to the boards: read, counted and rendered in a thread, once for all boards of one look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import translation

from payments.documents import load_facts
from realtime.board import figures as board_figures
from realtime.board import rows, statistics
from realtime.board.look import Look
from realtime.change import Change

if TYPE_CHECKING:
    from realtime.board.room import News

LARGEST_CURSOR = 2**62


@dataclass(frozen=True)
class Figures:
    """`gist` is the text without what changes by itself with every count."""

    text: str
    gist: str


def feed(news: News, looks: Iterable[Look]) -> dict[Look, list[str]]:
    """Return what each look is sent about payments that have changed."""
    looks = list(looks)
    texts: dict[Look, list[str]] = {}
    if any(look.as_json for look in looks):
        changes = _completed(news)
        texts |= {look: _documents(changes, look) for look in looks if look.as_json}
    shown = [look for look in looks if not (look.as_json or look.wall)]
    if shown:
        cursor, found = rows.end_of_history(), {query: _among(query, news) for query in {look.query for look in shown}}
        texts |= {look: [_news(look, found[look.query], cursor)] for look in shown}
    return texts


def seen(seconds: Mapping[str, float], looks: Iterable[Look]) -> dict[Look, list[str]]:
    """Return what each look is told about when customers saw the end of their payments; nothing is read for it."""
    shown = [look for look in looks if not (look.as_json or look.wall)]
    texts = {language: _seen(seconds, language) for language in {look.language for look in shown}}
    return {look: [texts[look.language]] for look in shown}


def figures(looks: Iterable[Look]) -> dict[Look, Figures]:
    """Return the figures as each look shows them."""
    return {look: _totals() if look.as_json else _panels(look) for look in looks}


def greeting(look: Look, cursor: str) -> list[str]:
    """Return what a board is sent when it opens: the figures, and what has changed since it was last here."""
    texts = [figures([look])[look].text]
    if not look.as_json and not look.wall and cursor.isascii() and cursor.isdigit():
        end, changed = rows.end_of_history(), rows.changed_since(min(int(cursor[:18]), LARGEST_CURSOR))
        texts.append(_news(look, _among(look.query, changed), end))
    return texts


def page(look: Look) -> dict[str, Any]:
    """Return what the whole page shows, in the active language."""
    cursor = rows.end_of_history()  # first: a change in between comes twice instead of never
    payments = [] if look.wall else rows.newest(look.search)
    return {"cursor": cursor, "rows": [rows.row(payment) for payment in payments], **board_figures.figures()}


# For people -----------------------------------------------------------------------------------------------------

Found = tuple[list[Any], list[UUID]]


def _among(query: str, transaction_ids: Mapping[UUID, Any] | list[UUID]) -> Found:
    """Return the payments that a look's filters let through, and the ids of those that they do not or no longer."""
    payments = rows.among(Look(query=query).search, transaction_ids)
    found = {payment.pk for payment in payments}
    return payments, [key for key in transaction_ids if key not in found]


def _news(look: Look, found: Found, cursor: int) -> str:
    payments, gone = found
    with translation.override(look.language):
        shown = [rows.row(payment) for payment in payments]
        return render_to_string("admin/payments/_live_news.html", {"rows": shown, "gone": gone, "cursor": cursor})


def _seen(seconds: Mapping[str, float], language: str) -> str:
    with translation.override(language):
        return render_to_string("admin/payments/_live_seen.html", {"seen": seconds.items()})


def _panels(look: Look) -> Figures:
    with translation.override(look.language):
        text = render_to_string("admin/payments/_live_figures.html", {**board_figures.figures(), "wall": look.wall})
    return Figures(text, text)


# For machines ---------------------------------------------------------------------------------------------------


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
