from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop.models import Order, Product

URL = "/api/orders/"


@pytest.fixture
def post(tea, lamp):
    def post(body, content_type="application/json", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body)
        return Client(enforce_csrf_checks=True).post(URL, raw, content_type=content_type, headers=headers)

    return post


def refused(response, status):
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert response["Content-Type"] == "application/problem+json"
    assert problem.keys() == {"type", "title", "status", "detail", "code", "field"}
    assert problem["detail"].endswith(".")
    assert not Order.objects.exists()
    return problem


def test_an_order_is_placed_without_any_cookie(client, post):
    response = post({"items": [{"sku": "tea", "quantity": 2}, {"sku": "lamp", "quantity": 1}]})
    order = Order.objects.get()
    assert response.status_code == 201
    assert response.json()["order_id"] == str(order.pk)
    assert (response.json()["amount"], response.json()["status"]) == (3_270, "OPEN")
    assert response["Location"] == f"/api/orders/{order.pk}/"
    for answer in (response, client.get(response["Location"])):
        assert answer["Cache-Control"] == "no-store"
        assert (answer["Referrer-Policy"], answer["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert not response.cookies
    assert "Access-Control-Allow-Origin" not in response


def test_unknown_keys_are_ignored(post):
    assert post({"items": [{"sku": "tea", "quantity": 1, "price": 1}], "amount": 1}).json()["amount"] == 160


def test_the_route_takes_no_slash_too(tea):
    body = {"items": [{"sku": "tea", "quantity": 1}]}
    assert Client().post("/api/orders", body, content_type="application/json").status_code == 201


ITEM = {"sku": "tea", "quantity": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": None}, "items"),
        ({"items": {}}, "items"),
        ({"items": "tea"}, "items"),
        ({"items": []}, "items"),
        ({"items": [{"sku": f"x{n}", "quantity": 1} for n in range(51)]}, "items"),
        ({"items": ["tea"]}, "items[0]"),
        ({"items": [ITEM, None]}, "items[1]"),
        ({"items": [[]]}, "items[0]"),
        ({"items": [{"quantity": 1}]}, "items[0].sku"),
        ({"items": [{"sku": 1, "quantity": 1}]}, "items[0].sku"),
        ({"items": [{"sku": None, "quantity": 1}]}, "items[0].sku"),
        ({"items": [{"sku": ["tea"], "quantity": 1}]}, "items[0].sku"),
        ({"items": [{"sku": "nothing", "quantity": 1}]}, "items[0].sku"),
        ({"items": [{"sku": "tea\u0000", "quantity": 1}]}, "items[0].sku"),
        ({"items": [ITEM, ITEM]}, "items[1].sku"),
        ({"items": [{"sku": "tea"}]}, "items[0].quantity"),
        *(
            ({"items": [{"sku": "tea", "quantity": quantity}]}, "items[0].quantity")
            for quantity in [0, -1, 100, 10**17, True, False, 1.0, 1.5, "1", None, [], {}]
        ),
        ({"items": [{"sku": "lamp", "quantity": 85}]}, "items"),
    ],
)
def test_bad_input_is_400_and_names_the_field(post, body, field):
    problem = refused(post(body), 400)
    assert (problem["code"], problem["field"]) == ("bad_input", field)


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"\xff\xfe",
        b'{"items": NaN}',
        b'{"items": [], "items": []}',
        b"[" * 5_000 + b"]" * 5_000,
        b'{"items": [{"sku": "tea", "quantity": ' + b"1" * 5_000 + b"}]}",
        b"[]",
    ],
)
def test_what_is_not_strict_json_is_400(post, body):
    assert refused(post(body), 400)["code"] == "invalid_json"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json5"])
def test_another_media_type_is_415(post, content_type):
    refused(post(b'{"items": [{"sku": "tea", "quantity": 1}]}', content_type), 415)


@pytest.mark.parametrize("size", [65 * 1024, 300 * 1024])
def test_a_large_body_is_413(post, size):
    refused(post(b'{"items": "' + b"x" * size + b'"}'), 413)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_foreign_page_is_403(post, origin):
    assert refused(post({"items": [ITEM]}, Origin=origin), 403)["code"] == "foreign_origin"


def test_our_own_page_may_order(post, settings):
    assert post({"items": [ITEM]}, Origin=settings.PUBLIC_BASE_URL).status_code == 201


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options", "head"])
def test_another_method_is_405_with_allow(db, method):
    response = getattr(Client(), method)(URL)
    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize("cookie", ["", "forged", "x" * 32])
def test_the_session_is_neither_read_nor_written(tea, cookie, settings):
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie
    with CaptureQueriesContext(connection) as queries:
        response = client.post(URL, {"items": [{"sku": "tea", "quantity": 1}]}, content_type="application/json")
    assert (response.status_code, len(queries) > 1) == (201, True)
    assert not [query for query in queries if "django_session" in query["sql"]]


def test_the_sentence_is_in_the_readers_language_when_there_is_one(post):
    assert post({}, **{"Accept-Language": "sw"})["Content-Language"] == "sw"


def test_products_lists_what_is_sold(client, tea, lamp):
    Product.objects.create(sku="old", name="Old", price=1, is_active=False)
    response = client.get("/api/products/")
    assert response.json() == [
        {"sku": "lamp", "name": "Lamp", "price": 2_950, "currency": "KES"},
        {"sku": "tea", "name": "Tea", "price": 160, "currency": "KES"},
    ]
    assert client.get("/api/products").json() == response.json()
    assert not response.cookies


def test_products_takes_no_post(db):
    response = Client(enforce_csrf_checks=True).post("/api/products/")
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response.json()["code"] == "method_not_allowed"
