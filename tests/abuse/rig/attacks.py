"""All classes of bad input, each with its full number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.abuse.rig import callbacks, limits, markup, people, wire
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target


@dataclass(frozen=True)
class Attack:
    """`inputs` in all, in parts that are run and noted one by one; `limited`: against a server with rate limits."""

    name: str
    inputs: int
    parts: int
    run: Callable[[Target, int, int], Tally]
    limited: bool = False

    def inputs_of(self, part: int, share: float) -> int:
        """Return how many inputs a part has; `share` of the full number, and at least one."""
        return max(1, round(self.inputs * share) // self.parts)


ATTACKS = (
    Attack("callback, valid token: generated", 20_000, 20, partial(callbacks.fuzz, "generated")),
    Attack("callback, valid token: mutated recordings", 5_000, 5, partial(callbacks.fuzz, "recorded")),
    Attack("callback, valid token: raw bytes", 2_000, 2, partial(callbacks.fuzz, "raw")),
    Attack("callback, forged", 10_000, 10, callbacks.forged),
    Attack("callback, timing of wrong tokens", 10_000, 2, callbacks.timing),
    Attack("payment by hand: confirmation and validation", 5_000, 5, callbacks.by_hand),
    Attack("result and timeout of a question", 5_000, 5, callbacks.results),
    Attack("HTTP layer", 500, 1, wire.broken_requests),  # at most: each case once
    Attack("stk-push", 5_000, 10, people.pushes),
    Attack("status, page, receipt: guesses and payloads", 2_000, 1, people.pages),
    Attack("WebSocket frames", 5_000, 5, wire.broken_frames),
    Attack("WebSocket handshakes", 200, 1, wire.broken_handshakes),
    Attack("stored markup and formulas", 1_800, 6, markup.stored),
    Attack("rate limits, scenarios", 50, 10, limits.rate_limits, limited=True),
    Attack("admin login", 1_000, 5, people.logins, limited=True),
)
