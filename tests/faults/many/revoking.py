"""A stranger who has the shop's key: each token fetched by them kills the one that the shop uses (404.001.03)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.faults.rig.cluster import CREDENTIALS, Cluster

EVERY = 0.5  # seconds


@contextmanager
def revoked_tokens(cluster: Cluster) -> Iterator[None]:
    """Kill the shop's token again and again, as long as the body lasts."""
    key = (CREDENTIALS["MPESA_CONSUMER_KEY"], CREDENTIALS["MPESA_CONSUMER_SECRET"])
    url = f"{cluster.simulator_url}/oauth/v1/generate?grant_type=client_credentials"
    is_over = threading.Event()

    def revoke() -> None:
        while not is_over.wait(EVERY):
            requests.get(url, auth=key, timeout=10).raise_for_status()

    stranger = threading.Thread(target=revoke, daemon=True)
    stranger.start()
    try:
        yield
    finally:
        is_over.set()
        stranger.join(timeout=15)
