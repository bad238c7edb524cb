"""`/metrics` is for the bearer of METRICS_TOKEN, or without one for this machine alone, and about this environment."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from payments.history import open_discrepancy
from payments.models import Callback, Confirmation, Discrepancy, ReceiptClaim
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_reads_them(client: Any, peer: str) -> None:
    answer = client.get("/metrics", REMOTE_ADDR=peer)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.parametrize("peer", ["192.168.1.2", "41.90.1.2", "::ffff:41.90.1.2", "2001:db8::1", ""])
def test_nobody_else_does(client: Any, peer: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=peer).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_on_this_machine_passes_on_is_not_of_this_machine(client: Any, header: str) -> None:
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_with_a_token_only_its_bearer_does(client: Any, settings: Any) -> None:
    settings.METRICS_TOKEN = "the-token-of-this-test"
    assert client.get("/metrics").status_code == 404
    for wrong in ("Bearer another", "the-token-of-this-test", "Bearer the-token-of-this-test ", "Bearer \xe9"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 404
    right = {"Authorization": "Bearer the-token-of-this-test", "X-Forwarded-For": "41.90.1.2"}
    assert client.get("/metrics", headers=right, REMOTE_ADDR="192.168.1.2").status_code == 200


def test_they_count_what_is_of_this_environment(client: Any) -> None:
    for environment in ("simulator", "sandbox", "sandbox"):
        payment = make_transaction(environment=environment)
        open_discrepancy(payment, Discrepancy.Kind.LATE)
        kept = {"environment": environment, "dedup_key": payment.pk.hex, "body": b"", "received_at": timezone.now()}
        Callback.objects.create(**kept, digest="", trusted=True)
        Confirmation.objects.create(**kept, trans_id="UKQ0000001")
        ReceiptClaim.objects.create(environment=environment, order=payment.order, code="UKQ0000001")
    shown = client.get("/metrics").text.splitlines()
    for line in (
        'papo_discrepancies_open{kind="late"} 1.0',
        'papo_callbacks{state="received"} 1.0',
        'papo_confirmations{state="received"} 1.0',
        'papo_receipt_claims{state="looking"} 1.0',
    ):
        assert line in shown, line
