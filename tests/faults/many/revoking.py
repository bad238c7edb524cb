"""A stranger who has the shop's key, and kills its token again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.rig.cluster import Cluster
from tests.faults.rig.faults.daraja import revoke_token

EVERY = 0.5  # seconds


@contextmanager
def revoked_tokens(cluster: Cluster) -> Iterator[None]:
    """Let the stranger be at work as long as the body lasts."""
    is_over = threading.Event()

    def revoke() -> None:
        while not is_over.wait(EVERY):
            revoke_token(cluster)

    stranger = threading.Thread(target=revoke, daemon=True)
    stranger.start()
    try:
        yield
    finally:
        is_over.set()
        stranger.join(timeout=15)
