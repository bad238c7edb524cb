"""Who may open each route, found by walking the routes: one that nobody has listed here fails."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import RegexPattern

from payments.desk.export import begin
from payments.search import Search
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

EVERYONE = {"catalogue", "cart", "cart_add", "cart_change", "checkout", "api_products", "schema", "set_language"}
EVERYONE |= {"healthz", "readyz", "payment_status", "stk_push", "api_orders", "admin:login"}
# Who holds the unguessable id, or the secret part of a path.
HOLDERS = {"order", "order_news", "order_cancel", "payment", "payment_check", "receipt", "paid_by_hand"}
HOLDERS |= {"api_order", "api_by_hand"}
DARAJA = {"callback", "seed_callback", "conversation_result", "c2b_confirmation", "c2b_validation"}
THIS_MACHINE = {"metrics"}
NOBODY = {"no_shortcut"}
STAFF = {  # beside the admin's own pages
    *("live_board", "counter", "counter_payment", "counter_order", "export", "export_progress", "export_file"),
    *("order_desk", "order_desk_move", "admin:payments_books", "admin:payments_findings_csv"),
    *("admin:payments_takings", "admin:payments_takings_csv", "admin:payments_transaction_act"),
    *("admin:payments_refund_prepare", "admin:payments_refund_decide"),
}
OF_THE_ADMIN = {
    *("index", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site"),
    *("app_list", "auth_user_password_change"),
}
OF_EVERY_MODEL = ("_changelist", "_add", "_history", "_delete", "_change")
MODELS = {
    *("auth.user", "auth.group", "shop.product", "shop.order", "payments.transaction", "payments.transactionevent"),
    *("payments.callback", "payments.discrepancy", "payments.mail", "payments.promptgate", "payments.unwantedphone"),
    *("payments.finding", "payments.reading", "payments.movement", "payments.confirmation", "payments.receiptclaim"),
    "payments.refund",
}
# No cookie opens them, so no foreign page can use one; each has a guard of its own.
# Besides Daraja's: what programs talk to, and what takes no POST at all and says so (405).
WITHOUT_CSRF = DARAJA | {"api_products", "api_orders", "payment_status", "api_order", "api_by_hand", "stk_push"}
WITHOUT_CSRF |= {"healthz", "readyz", "metrics", "schema"}
# What only counts or remembers who asks; the gate's one row is made by whoever first needs it.
FORGETS = ("shop.ratecount", "sessions.", "axes.", "shop.idempotencykey", "admin.logentry", "payments.promptgate")
READY = "/readyz"
TELL_NOTHING = {"/admin/jsi18n/", "/admin/password_change/", "/admin/password_change/done/"}


def _routes(resolver: URLResolver, prefix: str = "", space: str = "") -> Iterator[tuple[str, str, URLPattern]]:
    """Yield route, name and pattern of everything but the simulator, which is not there where money is."""
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route, f"{pattern.namespace}:" if pattern.namespace else space)
        elif not route.startswith(("simulator/", "demo/")):
            yield route, f"{space}{pattern.name or ''}", pattern


ROUTES = list(_routes(get_resolver()))


def _is_of_the_admin(name: str) -> bool:
    models = {model.replace(".", "_") for model in MODELS}
    own = name.removeprefix("admin:")
    return own in OF_THE_ADMIN or any(own == f"{model}{end}" for model in models for end in OF_EVERY_MODEL)


def test_every_route_is_for_somebody() -> None:
    listed = EVERYONE | HOLDERS | DARAJA | THIS_MACHINE | NOBODY | STAFF
    names = {name for _route, name, _pattern in ROUTES if name and not name.endswith(":")}
    assert {name for name in names if not _is_of_the_admin(name)} == listed
    nameless = {route for route, name, _pattern in ROUTES if not name or name.endswith(":")}
    assert {route for route in nameless if not route.startswith("admin/")} == {"api/products", "api/orders"}


def test_only_these_take_a_post_without_a_token() -> None:
    exempt = {name for _route, name, pattern in ROUTES if getattr(pattern.callback, "csrf_exempt", False) and name}
    assert exempt == WITHOUT_CSRF


@pytest.fixture
def paths() -> dict[str, str]:
    """Every path with ids of a payment that there is, so that what a page does with it is really done."""
    paid = {"status": "COMPLETED", "completed_at": "2026-11-01T00:00:00Z", "mpesa_receipt_number": "UKK0000001"}
    payment = make_transaction(**paid)
    boss = get_user_model().objects.create_superuser("boss", "")
    export = begin(Search.of({}), by=boss)
    known = {
        "transaction_id": str(payment.pk), "payment_id": str(payment.pk), "order_id": str(payment.order_id),
        "export_id": str(export.pk), "refund_id": str(uuid.uuid4()), "name": "ask", "report": "days",
        "id": str(boss.pk), "content_type_id": "1", "token": "x", "route": "result", "segment": "x",
        "app_label": "payments", "url": "x",
    }  # fmt: skip
    objects = {"transaction": payment.pk, "order": payment.order_id, "user": boss.pk}
    return {f"{route} {name}": _path(route, name, pattern, known, objects) for route, name, pattern in ROUTES}


def _path(route: str, name: str, pattern: URLPattern, known: dict[str, str], objects: dict[str, Any]) -> str:
    given = {key: known.get(key, "1") for key in _keys(pattern)}
    if "object_id" in given:
        given["object_id"] = str(next((pk for model, pk in objects.items() if f"_{model}_" in f"{name}_"), 1))
    if not name or name.endswith(":"):
        return f"/{route}" if "<" not in route and "(" not in route else "/admin/x"
    return reverse(name, kwargs=given)


def _keys(pattern: URLPattern) -> list[str]:
    if isinstance(pattern.pattern, RegexPattern):
        return [key for key in pattern.pattern.regex.groupindex if pattern.name != "seed_callback"]
    return list(pattern.pattern.converters)


def _is_staffs(name: str) -> bool:
    return name in STAFF or (name.startswith("admin:") and name != "admin:login")


@pytest.mark.parametrize("who", ["nobody", "a customer with an account"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_staffs_routes_tell_nobody_else_anything(client: Client, paths: dict[str, str], who: str, method: str) -> None:
    if who != "nobody":
        client.force_login(get_user_model().objects.create_user("customer"))
    for named, path in paths.items():
        if _is_staffs(named.split(" ")[1]):
            answer = getattr(client, method)(path)
            assert answer.status_code in {302, 403, 404, 405}, path
            if answer.status_code == 302:
                assert answer["Location"].startswith(("/admin/login/", "/admin/")), path


def test_a_foreign_page_cannot_have_staff_do_anything(paths: dict[str, str]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(get_user_model().objects.get(username="boss"))
    for named, path in paths.items():
        answer = strict.post(path, {"why": "x", "amount": "1"})
        name = named.split(" ")[1]
        may_be = {400, 403, 404, 405, 415} if name in WITHOUT_CSRF or path.startswith("/api/") else {403, 405, 404}
        may_be |= {200} if name == "seed_callback" else set()
        assert answer.status_code in may_be, (path, answer.status_code)


def _everything() -> dict[str, Any]:
    """Return every row of every table that money, goods, people or rights are in."""
    models = [model for model in apps.get_models() if not model._meta.label_lower.startswith(FORGETS)]
    return {model._meta.label: sorted(map(str, model._default_manager.values())) for model in models}


def test_looking_at_every_page_changes_nothing(client: Client, paths: dict[str, str]) -> None:
    client.force_login(get_user_model().objects.get(username="boss"))
    before = _everything()
    for path in paths.values():
        for method in (client.get, client.head, client.options):
            answer = method(path)
            assert answer.status_code < 500 or path == READY, path
    assert _everything() == before


def test_no_host_but_ours_is_answered_or_repeated(client: Client, paths: dict[str, str]) -> None:
    client.force_login(get_user_model().objects.get(username="boss"))
    for path in paths.values():
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 400, path
        answer = client.get(path, headers={"X-Forwarded-Host": "evil.example", "X-Host": "evil.example"})
        assert answer.streaming or b"evil.example" not in answer.content, path
        assert "evil.example" not in answer.get("Location", ""), path


def test_staffs_pages_are_kept_by_nobody(client: Client, paths: dict[str, str]) -> None:
    client.force_login(get_user_model().objects.get(username="boss"))
    for named, path in paths.items():
        if _is_staffs(named.split(" ")[1]) and (answer := client.get(path)).status_code == 200:
            kept = answer.get("Cache-Control", "")
            assert "no-store" in kept or "no-cache" in kept or path in TELL_NOTHING, path
