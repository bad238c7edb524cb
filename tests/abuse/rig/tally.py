"""What one part of an attack came to, and the rules by which an answer is an error of the server's."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tests.abuse.rig.caller import Answer

# What the contract says with a 503; anything else from 500 on is a fault. 501 and 505 answer a request's own oddity.
DOCUMENTED = {"daraja_unreachable", "outcome_unknown", "unavailable", "not_stored"}
MOST_KEPT = 20  # of each kind, as evidence


@dataclass
class Tally:
    """`changed`: what became otherwise than it may, or was told to whom it is none of their business."""

    secrets: Collection[bytes] = ()
    inputs: int = 0
    errors: int = 0
    changes: int = 0
    evidence: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, answer: Answer, about: object, *, expected: Collection[int | None] = (), inputs: int = 1) -> Answer:
        """Count an answer; `about` says what was sent, `expected` which statuses are right."""
        with self._lock:
            self.inputs += inputs
            if answer.status is not None:
                self.milliseconds.append(answer.seconds * 1000)
            if is_server_error(answer) or (expected and answer.status not in expected):
                self.error(f"{answer.status} after {about!r}: {answer.body[:200]!r}")
            if leaked := [secret for secret in self.secrets if secret in answer.body]:
                self.change(f"{leaked!r} told after {about!r}")
        return answer

    def error(self, what: str) -> None:
        self.errors += 1
        self._keep(f"error: {what}")

    def change(self, what: str) -> None:
        self.changes += 1
        self._keep(f"changed: {what}")

    def _keep(self, what: str) -> None:
        if len(self.evidence) < MOST_KEPT:
            self.evidence.append(what[:600])


def is_server_error(answer: Answer) -> bool:
    status = answer.status
    if status is None or status < 500 or status in {501, 505}:
        return False
    return not (status == 503 and answer.json.get("code") in DOCUMENTED)
