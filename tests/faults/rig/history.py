"""What everybody saw, when: one JSON object a line, with monotonic seconds."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any


class History:
    """The file of one run; any thread may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("w")

    def note(self, actor: str, event: str, **facts: Any) -> None:
        line = json.dumps({"t": round(time.monotonic(), 4), "actor": actor, "event": event, **facts})
        with self._lock:
            self._file.write(f"{line}\n")

    def close(self) -> None:
        self._file.close()


def monotonic(moment: str) -> float:
    """Return what time.monotonic() said at a moment that the shop has told, by this machine's clock."""
    return datetime.fromisoformat(moment).timestamp() - time.time() + time.monotonic()
