"""What goes wrong is a calm page for people and a problem for programs."""

from __future__ import annotations

import pytest
from django.db import InterfaceError, InternalError, OperationalError
from django.test import Client

import pages
from payments import deliveries
from tests.factories import make_transaction


def test_an_unknown_address_is_a_page(client, db):
    response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


@pytest.mark.parametrize("path", ["/api/nowhere/", "/api/orders/x/y/"])
def test_an_unknown_address_of_programs_is_a_problem(client, db, path):
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response["Content-Type"] == "application/problem+json"


def test_a_foreign_host_is_400_without_asking_for_it_again(client, db):
    response = client.get("/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "We did not understand that" in response.content.decode()
    assert client.get("/api/products/", headers={"Host": "evil.example"}).json()["code"] == "bad_request"


@pytest.fixture
def broken(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("boom")

    monkeypatch.setattr("shop.views.Product.objects.filter", fail)
    return Client(raise_request_exception=False)


def test_a_fault_of_ours_is_a_page_that_needs_nothing(broken, django_assert_num_queries, db):
    with django_assert_num_queries(0):
        response = broken.get("/")
    page = response.content.decode()
    assert response.status_code == 500
    assert "Something broke on our side" in page
    assert "boom" not in page
    assert "/static/app.css" in page


def test_a_fault_of_ours_is_a_problem_for_programs(broken, db):
    response = broken.get("/api/products/")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
def test_a_page_without_its_database_says_come_back_soon(monkeypatch, db, error):
    def fail(*args, **kwargs):
        raise error("connection to 10.0.0.5 refused")

    monkeypatch.setattr("shop.views.Product.objects.filter", fail)
    response = Client(raise_request_exception=False).get("/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "your money is safe" in response.content.decode()
    assert "10.0.0.5" not in response.content.decode()


def test_what_is_not_for_you_says_so(rf, db):
    response = pages.forbidden(rf.get("/admin/"), PermissionError())
    assert response.status_code == 403
    assert "This is not for you" in response.content.decode()


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
@pytest.mark.parametrize("path", ["/", "/cart/", "/cart/add/", "/checkout/", "/api/orders/", "/api/products/"])
def test_no_method_is_a_fault(client, db, path, method):
    assert getattr(client, method)(path).status_code < 500


@pytest.mark.parametrize("path", ["/", "/nowhere/", "/healthz", "/admin/login/", "/api/products/"])
def test_every_answer_carries_the_policies(client, db, path):
    response = client.get(path)
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz/", "/metrics/"])
def test_health_is_never_redirected_to_https(client, db, settings, path):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path).status_code != 301
    assert client.get("/api/products/").status_code == 301


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/schema/"])
def test_monitors_may_ask_with_head(client, db, path):
    assert client.head(path).status_code in {200, 503}
    assert Client(enforce_csrf_checks=True).post(path).status_code == 405


def test_head_asks_for_a_payment_as_get_does_and_shows_it_to_nobody(client, db, monkeypatch):
    shown = []
    monkeypatch.setattr(deliveries, "note_sent", lambda *what, **how: shown.append(what))
    payment = make_transaction(status="COMPLETED")
    for path in (f"/payments/{payment.pk}/", f"/payments/{payment.pk}/receipt/", f"/orders/{payment.order_id}/"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer["Cache-Control"] == "no-store"
    assert not shown
    client.get(f"/payments/{payment.pk}/")
    assert shown
