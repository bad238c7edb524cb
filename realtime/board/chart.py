"""The last hour, minute by minute, as an SVG that the server draws: no script, no inline style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realtime.board.statistics import Minute

HEIGHT = 96
STEP = 10  # from bar to bar
WIDTH = 8


@dataclass(frozen=True)
class Bar:
    kind: str  # its CSS class: ok, stop or wait
    x: int
    y: float
    height: float


def bars(minutes: Sequence[Minute]) -> list[Bar]:
    """Return the stacked bars: paid below, not paid on it, waiting on top; the busiest minute fills the height."""
    most = max((m.completed + m.failed + m.pending for m in minutes), default=0)
    if not most:
        return []
    drawn = []
    for number, minute in enumerate(minutes):
        bottom = float(HEIGHT)
        for kind, count in (("ok", minute.completed), ("stop", minute.failed), ("wait", minute.pending)):
            if count:
                height = round(count * HEIGHT / most, 1)
                bottom -= height
                drawn.append(Bar(kind, number * STEP + 1, round(bottom, 1), height))
    return drawn
