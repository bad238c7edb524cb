"""What the board's figures show: counts, comparisons, lamps and what needs a person, in the active language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from payments.models import Reason, Source
from realtime.board import attention, chart, statistics
from realtime.board.shared import Shared
from realtime.board.statistics import NOT_ANSWERED, Now, Period, Times
from realtime.processes import RECONCILER_IS_OLD, Processes, everybody

SLOW_DARAJA = 5.0  # seconds at p95
OLD_TAILER = timedelta(seconds=10)

processes = Shared(everybody, seconds=1)
last_callback = Shared(lambda: (statistics.last_callback(),), seconds=1)


@dataclass(frozen=True)
class Lamp:
    """One light of the system bar: a word, its colour, and the moment that its age is counted from."""

    name: str
    tone: str
    says: str = ""
    since: datetime | None = None


def figures() -> dict[str, Any]:
    """Return everything but the feed."""
    now, (yesterday, hour_before) = statistics.now.get(), statistics.yesterday.get()
    raw, times = attention.now.get(), statistics.times.get()
    minutes = statistics.minutes.get()
    return {
        "now": now,
        "yesterday": yesterday,
        "hour_before": hour_before,
        "amount_change": change(now.today.amount, yesterday.amount),
        "paid_change": change(now.today.completed, yesterday.completed),
        "cancelled": now.hour.share_of({Reason.CANCELLED}),
        "unanswered": now.hour.share_of(NOT_ANSWERED),
        "sources": _sources(now),
        "times": times,
        "parts": _parts(times),
        "minutes": minutes,
        "bars": chart.bars(minutes),
        "reasons": _reasons(now.today),
        "processes": processes.get(),
        "lamps": _lamps(times.daraja),
        "findings": attention.findings(raw),
        "finding_count": attention.count(raw),
        "unlisted": max(0, raw.open_discrepancies - len(raw.discrepancies)),
    }


def change(value: int, before: int) -> int | None:
    """Return by how many percent `value` differs from `before`, None where there is nothing to compare with."""
    return round(100 * (value - before) / before) if before else None


def _sources(now: Now) -> list[tuple[str, int, int]]:
    """Return who told of the successes: words, today, last hour."""
    words = {Source.CALLBACK: _("by callback"), Source.QUERY: _("by asking"), Source.STAFF: _("by staff")}
    rows = [(word, now.today.sources.get(name, 0), now.hour.sources.get(name, 0)) for name, word in words.items()]
    by_hand = (_("paid by hand"), now.today.sources.get(Source.C2B, 0), now.hour.sources.get(Source.C2B, 0))
    return [*rows, by_hand, (_("of them late"), now.today.late, now.hour.late)]


def _parts(times: statistics.Confirming) -> list[tuple[str, Times]]:
    return [
        (_("In all"), times.in_all),
        (_("M-PESA takes the prompt"), times.daraja),
        (_("The customer answers"), times.customer),
        (_("Callback → on screen"), times.painted),
    ]


def _reasons(today: Period) -> list[dict[str, Any]]:
    most = max(today.reasons.values(), default=1)
    labels = dict(Reason.choices)
    return [
        {"name": name, "label": labels.get(name, name), "count": count, "width": round(100 * count / most)}
        for name, count in today.reasons.items()
    ]


def _lamps(daraja: Times) -> list[Lamp]:
    all_of_them, now = processes.get(), timezone.now()
    lamps = [Lamp(_("Database"), "ok")]
    lamps.append(
        Lamp(_("Channel layer"), "stop", _("does not answer")) if all_of_them.deaf else Lamp(_("Channel layer"), "ok")
    )
    lamps.append(_daraja(daraja))
    lamps.append(_reconciler(all_of_them))
    lamps.append(_aged(_("Safety net"), all_of_them.tailed_at, now - OLD_TAILER))
    (heard,) = last_callback.get()
    quiet = statistics.lately.get()
    tone = "wait" if quiet.by_asking > quiet.by_callback else "ok" if heard else "none"
    lamps.append(Lamp(_("Last callback"), tone, "" if heard else _("none yet"), heard))
    return lamps


def _reconciler(processes: Processes) -> Lamp:
    lamp = _aged(_("Reconciler"), processes.reconciled_at, timezone.now() - RECONCILER_IS_OLD)
    # What was seen last is old because the shop was away, and the first pass of now is on its way.
    is_starting = lamp.tone == "stop" and not processes.nobody_reconciles
    return replace(lamp, tone="wait") if is_starting else lamp


def _daraja(daraja: Times) -> Lamp:
    lately = statistics.lately.get()
    if lately.refused and lately.refused_share > 0.05:
        return Lamp("M-PESA", "stop", _("%(share)d %% refused") % {"share": round(100 * lately.refused_share)})
    if daraja.p50 is None:
        return Lamp("M-PESA", "none", _("not asked lately"))
    return Lamp("M-PESA", "wait" if (daraja.p95 or 0) > SLOW_DARAJA else "ok", f"{daraja.p50:.1f} s")


def _aged(name: str, moment: datetime | None, oldest: datetime) -> Lamp:
    if moment is None:
        return Lamp(name, "wait", _("not seen"))
    return Lamp(name, "ok" if moment >= oldest else "stop", "", moment)
