"""NUL, which PostgreSQL takes in no text: wherever a stranger or staff can write one, nothing breaks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from realtime.board.rights import staff_of
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db

LISTS = ("payments/transaction", "payments/callback", "payments/finding", "payments/mail", "shop/order")
FILTERS = ("q", "environment", "status", "kind", "o", "p", "from", "least", "sent_at__isempty", "environment__exact")


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_superuser("boss", ""))
    return client


@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "django_language", "messages", "payments"])
def test_a_cookie_may_spell_it(client: Client, name: str) -> None:
    cookie = f'{name}="aaaaaaaaaaaaaaaa\\000aaaaaaaaaaaaaaa"'  # as octal, which the parser of cookies reads
    for path in ("/", "/cart/", f"/payments/{uuid.uuid4()}/", "/admin/", "/admin/payments/live/"):
        assert client.get(path, headers={"Cookie": cookie}).status_code < 500, path
    form = {"sku": make_product().sku}
    assert client.post("/cart/add/", form, headers={"Cookie": cookie}).status_code < 500


def _addresses() -> Iterator[str]:
    for name in LISTS:
        yield from (f"/admin/{name}/?{filter_}=%00" for filter_ in FILTERS)
        yield f"/admin/{name}/x%00y/change/"
    yield from ("/admin/payments/promptgate/%00/change/", "/admin/autocomplete/?term=%00&app_label=%00", "/admin/%00/")
    yield from ("/admin/payments/export/?q=%00", "/admin/payments/live/?q=%00", "/admin/payments/orders/?q=%00")
    yield from ("/admin/payments/finding/books/?day=%00", "/admin/payments/finding/books/findings.csv?first=%00")
    yield from ("/admin/payments/finding/takings/?first=%00", "/admin/login/?next=%00", "/static/%00", "/%00")
    yield from ("/payments/status/?transaction_id=%00", "/api/orders/%00/", "/payments/c2b/%00/confirmation/")


def test_an_address_may_hold_it(boss: Client) -> None:
    make_transaction()
    for path in _addresses():
        assert boss.get(path).status_code < 500, path


@pytest.mark.parametrize("nul", ["%00", "%2500"])
def test_an_address_that_holds_it_is_as_unknown_as_any_other(client: Client, nul: str) -> None:
    for route in ("/", "/orders/", "/payments/", "/api/orders/", "/payments/callback/"):
        path = f"{route}{nul}/"
        unknown = client.post(path) if "callback" in path else client.get(path)
        assert unknown.status_code == 404, path
        assert ("problem+json" in unknown["Content-Type"]) == (path.startswith(("/api/", "/payments/callback/"))), path


def test_a_hint_is_answered_alike_whatever_its_address_holds(client: Client) -> None:
    for path in ("/mpesa/stk_push_callback/%00/", "/mpesa/stk_push_callback/?x=%00"):
        assert client.post(path, b"{}", content_type="application/json").status_code == 200, path


def test_its_refusal_has_the_language_and_the_headers_of_any_page(client: Client) -> None:
    answer = client.get("/?q=%00", headers={"Accept-Language": "sw"})
    assert answer.status_code == 400
    assert '<html lang="sw"' in answer.content.decode()
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")
    assert (answer["X-Content-Type-Options"], answer["Referrer-Policy"]) == ("nosniff", "same-origin")


def test_a_form_may_hold_it(client: Client) -> None:
    order = make_order()
    forms = {
        "/cart/add/": {"sku": "\0"},
        "/cart/change/": {"sku": "x", "quantity": "1\0"},
        "/payments/stk-push/": {"order_id": f"{order.pk}", "phone": "0712\x00345678"},
        f"/payments/by-hand/{order.pk}/": {"sms": "UKP7R2X0QD\0", "payment": "\0"},
        "/i18n/setlang/": {"language": "sw\0", "next": "/\0"},
        "/admin/login/": {"username": "boss\0", "password": "\0"},
    }
    for path, fields in forms.items():
        assert client.post(path, fields).status_code < 500, path
    client.post("/cart/add/", {"sku": make_product().sku})
    named = client.post("/checkout/", {"customer_name": "W\0", "customer_email": "a\0@example.com"})
    assert named.status_code == 400


def test_a_socket_of_such_a_cookie_is_nobodys() -> None:
    assert staff_of([(b"cookie", b'sessionid="aaaaaaaaaaaaaaaa\\000aaaaaaaaaaaaaaa"')]) is None
