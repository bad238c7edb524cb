"""Secrets and a payer's data, planted and then looked for wherever somebody else could read them.

What Sentry is told is read in tests/test_reporting.py.
"""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import NoReverseMatch, reverse

import logs
from payments import inbox, mail
from payments.c2b.path import confirmation_url
from payments.callback_token import make_callback_token
from payments.daraja import client as daraja_client
from payments.documents import facts
from payments.metrics import metrics_text
from payments.models import Reason, Transaction
from payments.tests.by_hand import announce
from payments.tests.conftest import FakeDaraja, callback_body, raising
from realtime.change import Change
from tests.factories import make_order

pytestmark = pytest.mark.django_db

PHONE = "254711987654"
CHECKOUT_ID = "ws_CO_26112026103012987654711987654"
EMAIL = "canary.wanjiku@example.com"
NAME = "Canary Wanjiku"
SECRETS = {
    "MPESA_CONSUMER_SECRET": "canary-consumer-secret",
    "MPESA_PASSKEY": "canary-passkey",
    "MPESA_INITIATOR_PASSWORD": "canary-initiator",
    "METRICS_TOKEN": "canary-metrics-token",
}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that is logged from now on, as it would be printed."""
    given: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(logging.config, "dictConfig", given.append)
        patch.setattr(structlog, "configure", lambda **options: None)
        logs.configure(json=False)
    options = dict(given[0]["formatters"]["line"])
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(options.pop("()")(**options))
    logging.getLogger().addHandler(handler)
    yield text
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def daraja(monkeypatch: pytest.MonkeyPatch) -> FakeDaraja:
    fake = FakeDaraja()
    monkeypatch.setattr(daraja_client, "stk_push", fake.stk_push)
    return fake


@pytest.fixture
def payment(settings: Any, daraja: FakeDaraja, client: Client, lines: io.StringIO) -> Transaction:
    """A payment with a life: asked for, contradicted by strangers, paid, written about, and paid by hand besides."""
    for name, value in SECRETS.items():
        setattr(settings, name, value)
    daraja.push = lambda asked: daraja_client.PushAccepted("29115-canary-1", CHECKOUT_ID)
    order = make_order(customer_name=NAME, customer_email=EMAIL)
    client.post("/payments/stk-push/", {"order_id": str(order.pk), "phone_number": PHONE})
    payment = Transaction.objects.get()
    token = make_callback_token(payment.pk)
    body = callback_body(payment, PhoneNumber=int(PHONE))
    client.post("/mpesa/stk_push_callback/", body, content_type="application/json")
    client.post(f"/payments/callback/{token[:-1]}0/", body, content_type="application/json")
    client.post(f"/payments/callback/{token}/", b"{", content_type="application/json")
    client.post(f"/payments/callback/{token}/", body, content_type="application/json")
    announce(order.account_number, 1500, MSISDN=PHONE, FirstName=NAME)
    mail.send_due()
    payment.refresh_from_db()
    assert payment.status == "COMPLETED"
    return payment


def _secret(payment: Transaction) -> list[str]:
    """Return what nobody is told, whoever they are."""
    tokens = [make_callback_token(payment.pk).split(".")[1], confirmation_url().split("/")[-3]]
    return [*SECRETS.values(), *tokens, CHECKOUT_ID, "29115-canary-1"]


def _private(payment: Transaction) -> list[str]:
    """Return what only who typed it is told, or staff with a right of its own."""
    return [*_secret(payment), PHONE, f"0{PHONE[3:]}", "0711 987 654", PHONE[3:], NAME, EMAIL]


def _found(text: str, wanted: list[str]) -> list[str]:
    return [canary for canary in wanted if canary in text]


def test_a_stranger_with_the_link_reads_none_of_it(payment: Transaction) -> None:
    stranger = Client()
    links = ("/payments/{p}/", "/payments/{p}/receipt/", "/payments/status/?transaction_id={p}", "/orders/{o}/")
    links += ("/api/orders/{o}/", "/api/orders/{o}/by-hand/", "/", "/cart/", "/api/schema/", "/readyz", "/metrics")
    for link in links:
        answer = stranger.get(link.format(p=payment.pk, o=payment.order_id))
        assert _found(answer.content.decode(), _private(payment)) == [], link
    body = {"order_id": str(payment.order_id), "phone_number": PHONE}
    again = stranger.post("/payments/stk-push/", body, content_type="application/json")
    assert _found(again.content.decode(), _private(payment)) == []


def test_frames_and_figures_hold_none_of_it(payment: Transaction) -> None:
    change = Change(facts(payment))
    texts = [change.text(language, as_json=as_json) for language in ("en", "sw") for as_json in (False, True)]
    assert _found("".join([*texts, metrics_text().decode()]), _private(payment)) == []


def test_error_pages_repeat_none_of_it(payment: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = Client(raise_request_exception=False)
    token = make_callback_token(payment.pk)
    for path in (f"/payments/callback/{token}/x", f"/nowhere/{token}/?phone={PHONE}&id={CHECKOUT_ID}"):
        assert _found(calm.get(path).content.decode(), _private(payment)) == []
    boom = raising(RuntimeError(f"{PHONE} {CHECKOUT_ID} {token} {SECRETS}"))
    monkeypatch.setattr("payments.views.page._known", boom)
    broken = calm.get(f"/payments/{payment.pk}/")
    assert broken.status_code == 500
    assert _found(broken.content.decode(), _private(payment)) == []


def _staff_pages(payment: Transaction) -> Iterator[str]:
    yield from ("/admin/", "/admin/payments/live/", "/admin/payments/orders/", "/admin/payments/finding/books/")
    for model in apps.get_models():
        if model._meta.app_label in {"payments", "shop"}:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            try:
                yield reverse(f"{name}_changelist")
                yield from (reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()[:5])
            except NoReverseMatch:
                continue


def test_no_page_of_the_staff_shows_a_secret_or_a_whole_number(payment: Transaction) -> None:
    boss = Client()
    boss.force_login(get_user_model().objects.create_superuser("boss", ""))
    hidden = [canary for canary in _private(payment) if canary not in {NAME, EMAIL, "29115-canary-1"}]
    for path in _staff_pages(payment):
        answer = boss.get(path)
        assert _found(answer.content.decode(), hidden) == [], path


def test_who_may_only_look_gets_no_names_in_an_export(payment: Transaction) -> None:
    clerk = get_user_model().objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_transaction"))
    client = Client()
    client.force_login(clerk)
    begun = client.post("/admin/payments/export/")
    file = client.post(f"{begun['Location']}file/")
    assert _found(_read(file), _private(payment)) == []
    assert client.post("/admin/payments/export/", {"with_pii": "on", "why": "x"}).status_code == 403


def _read(response: Any) -> str:
    """Return a streamed file; its lines come from the loop."""
    from asgiref.sync import async_to_sync

    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)().decode()


def test_the_log_tells_none_of_it(payment: Transaction, lines: io.StringIO, daraja: FakeDaraja, client: Client) -> None:
    token = make_callback_token(payment.pk)
    logging.getLogger("urllib3").error("POST /payments/callback/%s/ for %s failed", token, PHONE)
    daraja.push = raising(RuntimeError(f"no answer for {PHONE} at /payments/callback/{token}/ about {CHECKOUT_ID}"))
    client.post("/payments/stk-push/", {"order_id": str(make_order().pk), "phone_number": "0722333444"})
    daraja.push = raising(daraja_client.DarajaRefused("400.002.02", f"Invalid PhoneNumber {PHONE}", Reason.NOT_SENT))
    client.post("/payments/stk-push/", {"order_id": str(make_order().pk), "phone_number": "0722333445"})
    inbox.receive(payment.pk, callback_body(payment, code=1032, desc=f"DS {PHONE}"), "196.201.214.200")
    text = lines.getvalue()
    assert "push.crashed" in text
    assert "payment" in text
    assert _found(text, [canary for canary in _private(payment) if canary != PHONE[3:]]) == []
