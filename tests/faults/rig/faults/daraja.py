"""Faults of Daraja: of its callbacks, its answers and its token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.faults.rig.cluster import CREDENTIALS, Cluster
from tests.faults.rig.faults.fault import PAID_ONCE, Fault, mode, nothing, plan
from tests.faults.rig.proxy import Mode


def revoke_token(cluster: Cluster) -> None:
    """Fetch a token as a stranger with the shop's key does: it kills the one that the shop uses (404.001.03)."""
    key = (CREDENTIALS["MPESA_CONSUMER_KEY"], CREDENTIALS["MPESA_CONSUMER_SECRET"])
    url = f"{cluster.simulator_url}/oauth/v1/generate?grant_type=client_credentials"
    requests.get(url, auth=key, timeout=10).raise_for_status()


@contextmanager
def _revoked_tokens(cluster: Cluster) -> Iterator[None]:
    for _time in range(8):
        revoke_token(cluster)
        time.sleep(0.4)
    yield


FAULTS = [
    Fault("F0", "nothing breaks, and some customers forge their success", nothing,
          (PAID_ONCE, plan("once", "cancelled", forges="yes"))),
    Fault("F0b", "nothing breaks, and pages are opened when all is over", nothing, late_pages=(6.0, 6.0)),
    Fault("F11", "every callback lost", nothing, (plan("lost"), plan("lost", query="flaky"))),
    Fault("F12", "callbacks three times at once", nothing, (plan("three_times"), plan("twice"))),
    Fault("F13", "failure before success, success before the push's answer", nothing,
          (plan("out_of_order"), plan("before_answer"), plan("contradicted"))),
    Fault("F14", "callbacks 6 s late", nothing, (plan("late"),)),
    Fault("F17a", "the push's answer lost after Daraja accepted", nothing,
          (plan("once", push="lost"), plan("once", push="gateway"))),
    Fault("F17b", "Daraja's answers cut off for 4 s", mode("daraja", Mode.NO_ANSWERS, 4)),
    Fault("F17c", "Daraja out of reach for 4 s", mode("daraja", Mode.RESET, 4)),
    Fault("F18", "queries flaky, classic, odd", nothing,
          (plan("lost", query="flaky"), plan("lost", query="classic"), plan("lost", query="odd"))),
    Fault("F19", "the OAuth token revoked again and again", _revoked_tokens),
]  # fmt: skip
