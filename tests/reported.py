"""A program of its own, because sentry_sdk patches the whole process: fail in several ways, print what Sentry is sent.

`python -m tests.reported` with a JSON object of secrets: each is put where it comes from in life.
"""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any
from urllib.parse import urlsplit

from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

SENT: list[Any] = []


class Kept(Transport):
    """What would have left."""

    def capture_envelope(self, envelope: Envelope) -> None:
        SENT.extend(json.loads(item.get_bytes()) for item in envelope.items)


def main(secrets: dict[str, str]) -> None:
    import django
    from django.conf import settings

    import reporting

    reporting.report_errors_to("https://key@sentry.invalid/1", environment="simulator", transport=Kept())
    settings.ALLOWED_HOSTS = ["*"]
    django.setup()
    _fail_in_a_callback(secrets)
    _fail_in_a_task(secrets)
    json.dump(SENT, sys.stdout)


def _fail_in_a_callback(secrets: dict[str, str]) -> None:
    """Let a view fail while it holds a token, a body, cookies and headers, and name what it holds."""
    import structlog
    from django.test import Client

    from payments.callback_token import callback_url
    from payments.views import callbacks

    told = {name: secrets[name] for name in secrets.keys() - {"name", "cookie", "bearer"}}

    def fails(transaction_id: uuid.UUID, body: bytes, remote_address: str | None) -> bool:
        structlog.get_logger("payments").info("just.before", **told)
        raise RuntimeError(f"{remote_address}: {json.dumps(told)}")

    callbacks.inbox.receive = fails
    client = Client(raise_request_exception=False, REMOTE_ADDR=secrets["address"])
    client.cookies["sessionid"] = secrets["cookie"]
    path = urlsplit(callback_url(uuid.UUID(secrets["transaction_id"]))).path
    headers = {"Authorization": f"Bearer {secrets['bearer']}", "X-Forwarded-For": secrets["address"]}
    body = json.dumps({"PhoneNumber": secrets["phone"], "Name": secrets["name"]})
    answer = client.post(f"{path}?name={secrets['name']}", body, content_type="application/json", headers=headers)
    assert answer.status_code == 500, answer.content


def _fail_in_a_task(secrets: dict[str, str]) -> None:
    """Log an error outside any request, as psycopg words it and with what structlog binds to it."""
    import structlog
    from django.db import IntegrityError

    with structlog.contextvars.bound_contextvars(request_id="of-this-request"):
        try:
            raise IntegrityError(
                f"duplicate key\nDETAIL:  Key (phone_number)=({secrets['phone']}) already exists.\n"
                f"DETAIL:  Failing row contains (1, {secrets['name']}, {secrets['email']}, {secrets['order_id']})."
            )
        except IntegrityError:
            structlog.get_logger("payments").exception("task.failed", number=int(secrets["phone"]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
