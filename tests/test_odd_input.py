"""No input to any route is an error of the server's: `Shop` says what it got, and nothing is 500 or more."""

from __future__ import annotations

import socket as sockets
import uuid

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.client import Shop, new_phone_number
from tests.conftest import Payment
from tests.patience import PATIENCE

ODD_IDS = [
    "1",
    "%00",
    "%ff",
    "..",
    "٣" * 32,
    "{" + str(uuid.uuid4()) + "}",
    "x" * 5000,
    str(uuid.uuid4()),
    "%F0%9F%A5%AD",
]
TOO_BIG = 1009  # RFC 6455, 7.4.1
ODD_FORMS = {
    "no boundary": ("multipart/form-data", b"x"),
    "no end": ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'),
    "no name": ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n"),
    "no base64": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--b--\r\n',
    ),
    "too many fields": ("application/x-www-form-urlencoded", b"a=1&" * 2_000),
    "another charset": ("application/x-www-form-urlencoded; charset=utf-16", b"a=1"),
}
ODD_JSON = [
    b"", b"null", b"[]", b'"x"', b"0", b"NaN", b"{", b"\xff", b"[" * 3000, b'{"items":' * 500, b"9" * 6000,
    b'{"items":[]}', b'{"items":[{}]}', b'{"items":[null]}', b'{"items":{"sku":1}}',
    b'{"items":[{"sku":[],"quantity":1}]}',
    b'{"items":[{"sku":"\\u0000","quantity":1}]}', b'{"items":[{"sku":"x","quantity":true}]}',
    b'{"items":[{"sku":"x","quantity":1e999}]}', b'{"items":[{"sku":"x","quantity":99999999999999999999}]}',
    b'{"order_id":{"a":1},"phone_number":"0712345678"}', b'{"order_id":"\\ud800","phone_number":"0712345678"}',
    b'{"order_id":1,"order_id":2}', b"\xef\xbb\xbf{}",
]  # fmt: skip
POSTS = [
    "/api/orders/",
    "/payments/stk-push/",
    "/mpesa/stk_push_callback/",
    "/payments/callback/x/",
    "/cart/add/",
    "/checkout/",
]
MACHINES = {"/api/orders/", "/mpesa/stk_push_callback/", "/payments/callback/x/"}
PAGES = [
    "/payments/{}/",
    "/payments/{}/receipt/",
    "/payments/status/?transaction_id={}",
    "/payments/callback/{}/",
    "/mpesa/stk_push_callback/{}/",
    "/orders/{}/",
    "/api/orders/{}/",
    "/admin/{}/",
    "/static/{}",
    "/simulator/{}/",
    "/{}",
]


@pytest.mark.parametrize("body", ODD_JSON, ids=range(len(ODD_JSON)))
@pytest.mark.parametrize("path", POSTS)
def test_odd_json_is_refused_in_words(shop: Shop, path: str, body: bytes) -> None:
    answer = shop.post(path, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/json; charset=utf-16", "multipart/form-data", "\xe9"]
)
def test_odd_media_types_are_refused(shop: Shop, path: str, media_type: str) -> None:
    answer = shop.post(path, data=b"--x\r\n", headers={"Content-Type": media_type.encode("latin-1")})
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("path", PAGES)
def test_odd_ids_are_nobodys(shop: Shop, path: str) -> None:
    for odd in ODD_IDS:
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PROPFIND"):
            answer = shop.request(method, path.format(odd))
            assert answer.status_code < 500, (method, odd, answer.text)


@pytest.mark.parametrize(
    "path", ["/payments/{}/", "/api/orders/{}/", "/payments/status/?transaction_id={}", "/orders/{}/"]
)
@pytest.mark.parametrize("unknown", ["1", "x" * 36, str(uuid.uuid4()), str(uuid.uuid4()).upper(), uuid.uuid4().hex])
def test_an_unknown_or_malformed_id_is_404(shop: Shop, path: str, unknown: str) -> None:
    assert shop.get(path.format(unknown)).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept-Language": "x" * 4000},
        {"Cookie": "sessionid=\x7f; csrftoken=" + "x" * 3000},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:99999"},
        {"Range": "bytes=9-1"},
        {"If-None-Match": '"\xff'},
        {"If-Modified-Since": "yesterday"},
        {"X-Forwarded-For": "';--"},
        {"Daphne-Root-Path": "/evil"},
        {"Origin": "null"},
        {"Content-Length": "0"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/products/", "/payments/status/", "/healthz", "/static/app.css"])
def test_odd_headers_are_survived(shop: Shop, path: str, headers: dict[str, str]) -> None:
    answer = shop.get(path, headers={name: value.encode("latin-1") for name, value in headers.items()})
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "request_line",
    [
        b"G\xc3T / HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /?\xff=\xff HTTP/1.1",
        b"GET http://a/b HTTP/1.1",
        b"* * *",
        b"\x00",
    ],
)
def test_odd_request_lines_are_survived(shop: Shop, request_line: bytes) -> None:
    host, port = shop.base_url.removeprefix("http://").split(":")
    with sockets.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request_line + b"\r\nHost: 127.0.0.1\r\nDaphne-Root-Path: \xff\r\nConnection: close\r\n\r\n")
        answer = connection.recv(4096)
    assert not answer or int(answer.split()[1]) < 500, answer
    assert shop.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_nobody_would_read_is_a_problem_like_any_other(shop: Shop, path: str) -> None:
    answer = shop.post(path, data=b"x" * 1_100_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert {**answer.json(), "detail": ""} == {
        "type": "about:blank",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": "",
        "code": "too_large",
        "field": None,
    }


@pytest.mark.parametrize("name", ODD_FORMS)
@pytest.mark.parametrize("path", POSTS)
def test_a_form_that_cannot_be_read_is_refused_like_any_other(shop: Shop, path: str, name: str) -> None:
    """A machine is told a problem, a customer a page in their language."""
    media_type, body = ODD_FORMS[name]
    answer = shop.post(path, data=body, headers={"Content-Type": media_type, "Accept-Language": "sw"})
    if path in MACHINES:
        assert answer.headers["Content-Type"].startswith("application/")
    else:
        assert answer.status_code in {400, 403}
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert '<html lang="sw"' in answer.text


@pytest.mark.parametrize("path", ["/ws/", "/ws/payments/", "/ws/payments/1/", "/ws/payments/%ff/", "/", "/ws/x/y/z"])
def test_an_unknown_socket_is_told_not_to_come_back(shop: Shop, path: str) -> None:
    with connect(f"{shop.base_url.replace('http', 'ws', 1)}{path}", open_timeout=PATIENCE) as socket:
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE)
        assert socket.close_code == 4404


@pytest.mark.parametrize(
    "message", ["", "x", "[]", "{}", '{"seen":', '{"seen":true}', '{"seen":1e999}', "[" * 250, b"\xff\x00", "x" * 4000]
)
def test_odd_messages_close_one_socket_and_hurt_nobody(shop: Shop, payment: Payment, message: str | bytes) -> None:
    with shop.socket(payment.id) as socket, shop.socket(payment.id) as bystander:
        bystander.recv(timeout=PATIENCE)
        try:
            for _ in range(20):
                socket.send(message)
                socket.recv(timeout=0.05)
        except (TimeoutError, ConnectionClosed):
            pass
        payment.push.succeed()
        assert "COMPLETED" in bystander.recv(timeout=PATIENCE)
    assert shop.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1:8000.evil.example", "http://", "nonsense"],
)
def test_a_foreign_page_gets_no_socket(shop: Shop, payment: Payment, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        shop.socket(payment.id, origin=origin).close()
    assert refused.value.response.status_code == 403


def test_a_huge_message_ends_its_socket_alone(shop: Shop, payment: Payment) -> None:
    for size in (4_097, 1_000_000):
        with shop.socket(payment.id) as socket:
            socket.send("x" * size)
            with pytest.raises(ConnectionClosed):
                listen_to_the_end(socket)
            assert socket.close_code == TOO_BIG
    assert shop.status(payment.id)["status"] == "PENDING"


def listen_to_the_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=PATIENCE)


def test_a_number_is_normalised_or_refused_but_never_an_error(shop: Shop) -> None:
    order_id = shop.order()["order_id"]
    for typed in (new_phone_number() * 50, "\x00", "0712\u200b345678", {"a": 1}, True, 1.5):
        answer = shop.post("/payments/stk-push/", json={"order_id": order_id, "phone_number": typed})
        assert answer.status_code == 400
