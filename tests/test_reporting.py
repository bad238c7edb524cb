"""What leaves for Sentry: enough to mend the fault, and nothing of a customer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
SECRETS = {
    "phone": "254712345678",
    "as_typed": "0712 345 678",
    "abroad": "+254 712-345-678",
    "transaction_id": "0b9c1f42-7a6e-4d1c-9a54-0a4f2a5c7d11",
    "order_id": "5f1e77aa-1c2b-4e3d-8a9b-1b2c3d4e5f60",
    "checkout_request_id": "ws_CO_26112026091512345678",
    "email": "wanjiku@shop.example",
    "address": "41.90.64.12",
}
IN_THE_REQUEST = {"cookie": "of-the-session", "bearer": "of-the-header", "name": "Wanjiku"}


@cache
def _sent() -> list[dict[str, Any]]:
    secrets = {**SECRETS, **IN_THE_REQUEST}
    told = subprocess.run(  # its own process: sentry_sdk patches the whole one
        [sys.executable, "-W", "error::DeprecationWarning:sentry_sdk", "-m", "tests.reported", json.dumps(secrets)],
        cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return list(json.loads(told.stdout))


def test_each_error_leaves_with_its_trace() -> None:
    last = [event["exception"]["values"][-1] for event in _sent()]
    assert [each["type"] for each in last] == ["RuntimeError", "IntegrityError"]
    assert all(each["stacktrace"]["frames"][-1]["function"] for each in last)
    assert _sent()[1]["tags"] == {"request_id": "of-this-request"}


def test_no_secret_leaves_wherever_it_stood() -> None:
    told = json.dumps(_sent(), ensure_ascii=False)
    secrets = {**SECRETS, **IN_THE_REQUEST}
    assert [name for name, value in secrets.items() if value in told or value.replace("-", "") in told] == []
