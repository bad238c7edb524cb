"""What the simulator can be told, each as a Django setting or an environment variable of the same name."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from django.conf import settings

RECORD = "SIMULATOR_RECORD"  # the SQLite file, below BASE_DIR unless absolute
DEFAULT_RECORD = "var/simulator.sqlite3"

PROMPT = "SIMULATOR_PROMPT_SECONDS"
CALLBACK = "SIMULATOR_CALLBACK_SECONDS"
ANSWER = "SIMULATOR_ANSWER_SECONDS"
UNREACHABLE = "SIMULATOR_UNREACHABLE_SECONDS"
LATE = "SIMULATOR_LATE_SECONDS"
QUERY_READY = "SIMULATOR_QUERY_READY_SECONDS"
PUSH = "SIMULATOR_PUSH_SECONDS"
RESULT = "SIMULATOR_RESULT_SECONDS"
TOKEN = "SIMULATOR_TOKEN_SECONDS"  # noqa: S105

DEFAULT_SECONDS = {
    PROMPT: 60.0,  # the handset shows a prompt this long; unanswered it ends as 1037
    CALLBACK: 0.3,  # from the answer on the handset to the callback
    ANSWER: 1.0,  # a customer who answers without the handset page takes this long
    UNREACHABLE: 5.0,  # Daraja gives up a phone that is off; real ones took 14 to 30 s
    LATE: 20.0,  # how late a late callback is
    QUERY_READY: 1.0,  # asked sooner after the push, Daraja does not know the id yet
    PUSH: 0.0,  # Daraja's own time to answer a push
    RESULT: 0.5,  # from an operator's request to its result
    TOKEN: 5.0,  # how long a token that is slow to come takes
}
LONGEST = 86_400.0  # seconds


def seconds(name: str) -> float:
    """Return a duration; one that cannot be read counts as its default, and the system check names it."""
    value = _seconds(_given(name))
    return DEFAULT_SECONDS[name] if value is None else value


def expire_after() -> float:
    """Return the seconds after which the shop gives a payment up."""
    return float(getattr(settings, "MPESA_EXPIRE_AFTER_SECONDS", 180))


def record_path() -> Path:
    return Path(settings.BASE_DIR) / str(_given(RECORD) or DEFAULT_RECORD)


def problems() -> list[str]:
    """Return one sentence per duration that cannot be read."""
    return [
        f"{name} must be a number of seconds from 0 to {LONGEST:.0f}, not {_given(name)!r}."
        for name in DEFAULT_SECONDS
        if _given(name) is not None and _seconds(_given(name)) is None
    ]


def _given(name: str) -> Any:
    value = getattr(settings, name, None)
    return os.environ.get(name) or None if value is None else value


def _seconds(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and 0 <= number <= LONGEST else None
