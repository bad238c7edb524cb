"""Strict reading of JSON and the Origin rule, which every JSON route and the sockets share."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.test import RequestFactory

import strict_json
from jsonhttp import Problem, is_own_origin, json_route, problem, read_json


def post(body, content_type="application/json", **headers):
    return RequestFactory().post("/", body, content_type=content_type, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff{}",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": ' + b"9" * 41 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        rb'{"a": "\ud800"}',
        rb'{"\udfff": 1}',
        b"[" * 9 + b"]" * 9,
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'{"a": 1} {}',
        b"{'a': 1}",
    ],
)
def test_json_that_two_readers_could_understand_differently_is_refused(body):
    with pytest.raises(strict_json.NotJson):
        strict_json.read(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 123456789012345678}', {"a": 123456789012345678}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (b"[" * 8 + b"]" * 8, json.loads("[" * 8 + "]" * 8)),
        (b' {"a": [1.5, -2, true, null]}\n', {"a": [Decimal("1.5"), -2, True, None]}),
    ],
)
def test_plain_json_is_read(body, value):
    assert strict_json.read(body) == value


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json+ld", "application/jsonp", "text/json", "", "application/json, text/plain"],
)
def test_another_media_type_is_refused(content_type):
    with pytest.raises(Problem) as caught:
        read_json(post(b"{}", content_type))
    assert caught.value.status == 415


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_the_media_type_may_carry_parameters(content_type):
    assert read_json(post(b'{"a": 1}', content_type)) == {"a": 1}


def test_a_body_beyond_the_limit_is_refused():
    with pytest.raises(Problem) as caught:
        read_json(post(b'{"a": "%s"}' % (b"x" * 100)), limit=100)
    assert caught.value.status == 413


def test_a_body_beyond_djangos_own_limit_is_refused_alike(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    with pytest.raises(Problem) as caught:
        read_json(post(b'{"a": "xxxxxxxxxxx"}'))
    assert caught.value.status == 413


@pytest.mark.parametrize("body", [b"[]", b"null", b'"a"', b"1"])
def test_only_an_object_is_a_request(body):
    with pytest.raises(Problem) as caught:
        read_json(post(body))
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_a_problem_says_everything_that_rfc_9457_asks_for():
    response = problem(409, "phone_busy", "Wait.", field="phone_number", headers={"Retry-After": "9"}, extra=1)
    assert response["Content-Type"] == "application/problem+json"
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (409, "9", "no-store")
    assert json.loads(response.content) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Wait.",
        "code": "phone_busy",
        "field": "phone_number",
        "extra": 1,
    }


@json_route("POST")
def posting(request):
    return problem(400, "reached", "")


@json_route("GET")
async def reading(request):
    raise Problem(404, "gone", "Gone.")


def test_another_method_gets_405_with_allow():
    response = posting(RequestFactory().get("/"))
    assert (response.status_code, response["Allow"]) == (405, "POST")


async def test_an_async_view_is_a_route_too():
    assert (await reading(RequestFactory().get("/"))).status_code == 404
    refused = await reading(RequestFactory().options("/"))
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_a_foreign_origin_may_not_write():
    assert posting(post(b"{}", Origin="https://evil.example")).status_code == 403
    assert posting(post(b"{}", Origin="null")).status_code == 403
    assert posting(post(b"{}")).status_code == 400


@pytest.fixture
def public(settings):
    settings.PUBLIC_BASE_URL = "https://shop.example"
    settings.CSRF_TRUSTED_ORIGINS = ["https://other.example:8443", "http://[2001:db8::1]"]
    settings.SIMULATOR = False


OWN = [
    "https://shop.example",
    "https://shop.example:443",
    "HTTPS://Shop.Example",
    "https://other.example:8443",
    "http://[2001:db8::1]:80",
]
FOREIGN = [
    "null",
    "",
    "http://shop.example",
    "https://shop.example:8443",
    "https://shop.example.evil.example",
    "https://evil.example/https://shop.example",
    "https://shop.example/",
    "https://shop.example, https://shop.example",
    "https://user@shop.example",
    "https://shop.example#",
    " https://shop.example",
    "https://shop.example\n",
    "https://shop.example:٤٤٣",
    "ws://shop.example",
    "https://other.example",
    "http://127.0.0.1:8000",
    "http://localhost:8000",
]


@pytest.mark.parametrize("origin", OWN)
def test_our_own_origins(public, origin):
    assert is_own_origin(origin, port=8000)


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origins(public, origin):
    assert not is_own_origin(origin, port=8000)


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://localhost:8001", False),
        ("http://localhost", False),
        ("https://localhost:8000", False),
        ("http://10.0.0.7:9000", True),
        ("http://10.0.0.7:8000", False),
    ],
)
def test_the_simulator_also_owns_the_loopback_at_its_port(settings, origin, own):
    settings.PUBLIC_BASE_URL = "http://10.0.0.7:9000"
    settings.SIMULATOR = True
    assert is_own_origin(origin, port="8000") is own


def test_a_server_without_a_port_owns_no_loopback(settings):
    settings.PUBLIC_BASE_URL, settings.SIMULATOR = "http://10.0.0.7:9000", True
    assert not is_own_origin("http://localhost", port=None)
    assert not is_own_origin("http://localhost:0", port="unknown")
