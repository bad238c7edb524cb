"""Delivery telemetry: when the end of a payment came in, was stored, left for a page and was seen there.

Who is on the hot path only puts a note into memory; a thread writes all notes of half a second in one transaction.
A process that is stopped writes its last notes first; what is lost with one that is killed are those, never more:
nothing of a payment depends on them.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone

from payments.models import Delivery, Status, TransactionEvent
from payments.signals import ends_seen

FLUSH_EVERY = 0.5  # seconds
MOST_NOTES = 20_000  # in memory, while the database is away; then the oldest are forgotten
MOST_KNOWN = 50_000

Channel = Delivery.Channel
WRITTEN = ("version", "received_at", "committed_at", "sent_at", "painted_at", "channel", "watched")


@dataclass(frozen=True, slots=True)
class Note:
    """One moment: `committed_at`, `sent_at` or `painted_at` of a version."""

    moment: str
    transaction_id: UUID
    version: int
    channel: str = ""
    watched: bool = False
    at: datetime = field(default_factory=timezone.now)


_notes: deque[Note] = deque(maxlen=MOST_NOTES)
_writing = threading.Lock()  # who flushes at the end of the process waits for the thread that does it all along
_known: set[tuple[str, UUID, int]] = set()  # what was noted lately: who polls on is one delivery


def note_committed(*, transaction_id: UUID, version: int, **kwargs: object) -> None:
    """Note that a change is stored; the receiver of `transaction_changed`."""
    _note("committed_at", transaction_id, version)


def note_sent(transaction_id: UUID, version: int, channel: Delivery.Channel, *, watched: bool) -> None:
    """Note that a version has left for a page; `watched`: the page was there before and waited for it."""
    _note("sent_at", transaction_id, version, channel, watched)


def note_seen(transaction_id: UUID, version: int) -> None:
    """Note that a page says it shows a version."""
    _note("painted_at", transaction_id, version)


def _note(moment: str, transaction_id: UUID, version: int, *how: Any) -> None:
    key = (moment, transaction_id, version)
    if key in _known:
        return
    if len(_known) >= MOST_KNOWN:
        _known.clear()  # the database keeps the first of each all the same
    _known.add(key)
    _notes.append(Note(*key, *how))


def flush() -> int:
    """Write what was noted; return for how many payments. Without a database the notes are kept, and it raises."""
    with _writing:
        notes = [_notes.popleft() for _ in range(len(_notes))]
        if not notes:
            return 0
        try:
            with atomic():
                rows = _write(notes)
        except Exception:
            _notes.extendleft(reversed(notes))
            raise
    _tell_of(rows, {note.transaction_id for note in notes if note.moment == "painted_at"})
    return len(rows)


def _tell_of(rows: list[Delivery], painted: set[UUID]) -> None:
    """Tell once for all of them, and with what there is to say: nobody has to read it again."""
    seconds = {str(row.pk): row.seconds_to_screen for row in rows if row.pk in painted}
    seen = {key: value for key, value in seconds.items() if value is not None}
    if seen:
        ends_seen.send_robust(Delivery, seconds=seen)


def _write(notes: list[Note]) -> list[Delivery]:
    by_payment: dict[UUID, list[Note]] = defaultdict(list)
    for note in notes:
        by_payment[note.transaction_id].append(note)
    ends = _ends(by_payment)
    Delivery.objects.bulk_create(ends.values(), ignore_conflicts=True)
    # In one order of locks, and with them: another process may be noting other moments of the same payments.
    rows = list(Delivery.objects.select_for_update().filter(pk__in=ends.keys()).order_by("pk"))
    for row in rows:
        _begin_anew(row, ends[row.pk])
        for note in by_payment[row.pk]:
            _apply(row, note)
    # One statement in which each row brings its values: bulk_update words a condition for each row and field.
    Delivery.objects.bulk_create(rows, update_conflicts=True, unique_fields=["pk"], update_fields=WRITTEN)
    return rows


def _ends(transaction_ids: Iterable[UUID]) -> dict[UUID, Delivery]:
    """Return for each payment that has ended a new row about the version that ended it."""
    changes = TransactionEvent.objects.filter(
        transaction__in=list(transaction_ids), new_status__in=(Status.COMPLETED, Status.FAILED)
    ).exclude(old_status=F("new_status"))
    ends = {}
    for payment, version, at, received_at in changes.order_by("version", "pk").values_list(
        "transaction_id", "version", "created_at", "callback__received_at"
    ):
        ends[payment] = Delivery(transaction_id=payment, version=version, received_at=received_at, committed_at=at)
    return ends


def _begin_anew(row: Delivery, end: Delivery) -> None:
    """Turn the row of a failure into that of the success which came after it."""
    if end.version > row.version:
        for name in WRITTEN:
            setattr(row, name, getattr(end, name))


def _apply(row: Delivery, note: Note) -> None:
    if note.moment == "committed_at":
        if note.version == row.version:
            row.committed_at = note.at
        return
    before = getattr(row, note.moment)
    if note.version < row.version or (before and before <= note.at):
        return
    setattr(row, note.moment, note.at)
    if note.moment == "sent_at":
        row.channel, row.watched = note.channel, note.watched
