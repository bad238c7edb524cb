"""What goes wrong below our own code: HTTP and WebSocket as attackers and broken proxies write them."""

from __future__ import annotations

import random
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.abuse.raw import BINARY, CLOSE, PING, PONG, TEXT, connect, frame, handshake, open_socket, send
from tests.client import Shop, next_document
from tests.conftest import Payment

SEED = 6455
BODY = b'{"items":[{"sku":"unga-2kg","quantity":1}]}'
START = "POST /api/orders/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
# The headers after START and the body: each contradicts itself, HTTP or good manners.
REQUESTS: dict[str, tuple[str, bytes]] = {
    "both lengths": (f"Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + BODY),
    "two lengths": (f"Content-Length: {len(BODY)}\r\nContent-Length: 1\r\n", BODY),
    "a list of lengths": (f"Content-Length: {len(BODY)}, {len(BODY)}\r\n", BODY),
    "a negative length": ("Content-Length: -1\r\n", BODY),
    "a length in words": ("Content-Length: many\r\n", BODY),
    "a length with a plus": (f"Content-Length: +{len(BODY)}\r\n", BODY),
    "a hidden encoding": ("Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "an unknown encoding": ("Transfer-Encoding: gzip, identity\r\n", BODY),
    "a broken chunk": ("Transfer-Encoding: chunked\r\n", b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk of 2^63": ("Transfer-Encoding: chunked\r\n", b"7fffffffffffffff\r\n" + BODY),
    "a packed body": (f"Content-Encoding: gzip\r\nContent-Length: {len(BODY)}\r\n", BODY),
    "a folded header": ("X-Folded: one\r\n two\r\nContent-Length: 0\r\n", b""),
    "a header without a name": (": nothing\r\nContent-Length: 0\r\n", b""),
    "a bare line feed": ("X-Bare: one\nX-Two: two\r\nContent-Length: 0\r\n", b""),
    "a control byte": ("X-Control: \x0b\x1e\x85\r\nContent-Length: 0\r\n", b""),
    "a thousand headers": ("".join(f"X-{n}: y\r\n" for n in range(1_000)) + "Content-Length: 0\r\n", b""),
    "a header of 100 KB": (f"X-Long: {'y' * 100_000}\r\nContent-Length: 0\r\n", b""),
    "two hosts": (f"Host: evil.example\r\nContent-Length: {len(BODY)}\r\n", BODY),
}
UNDERSTOOD = {None, 201, 400, 403, 411, 413, 415, 431, 501}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_against_the_rules_is_refused_and_smuggles_nothing(shop: Shop, name: str) -> None:
    headers, body = REQUESTS[name]
    host = urlsplit(shop.base_url).netloc
    smuggled = b"GET /admin/ HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n"
    request = (START.format(host=host) + headers + "Connection: close\r\n\r\n").encode("latin-1") + body + smuggled
    assert send(shop.base_url, request) in UNDERSTOOD
    assert shop.get("/healthz").status_code == 200


def test_a_body_that_stops_half_way_holds_up_nobody(shop: Shop) -> None:
    host = urlsplit(shop.base_url).netloc
    slow = [connect(shop.base_url) for _connection in range(30)]
    for connection in slow:
        connection.sendall((START.format(host=host) + "Content-Length: 5000\r\n\r\n{").encode())
    assert shop.get("/api/products/", timeout=5).status_code == 200
    for connection in slow:
        connection.close()


# Sockets --------------------------------------------------------------------------------------------------------


def _frames(dice: random.Random) -> bytes:
    """Return one to five frames, of which at least one is wrong or useless."""
    wrong = [
        lambda: frame(b"x" * dice.choice([300, 5_000, 70_000])),
        lambda: frame(b"\xff\xfe\x00", opcode=TEXT),
        lambda: frame(dice.randbytes(dice.randrange(200)), opcode=BINARY),
        lambda: frame(b'{"seen":', final=False) + frame(b"1}", opcode=0),
        lambda: frame(b"1}", opcode=0),
        lambda: frame(b"hello", masked=False),
        lambda: frame(b"hello", reserved=dice.randrange(1, 8)),
        lambda: frame(b"hello", opcode=dice.choice([3, 4, 7, 11, 15])),
        lambda: frame(b"x" * 126, opcode=PING),
        lambda: frame(b"", opcode=PING, final=False),
        lambda: frame(b"late", opcode=PONG) * 50,
        lambda: frame(b"ping", opcode=PING) * 50,
        lambda: frame(b"\x03", opcode=CLOSE),
        lambda: frame(b"\x00\x01bye", opcode=CLOSE),
        lambda: frame(b"x" * 200)[: dice.randrange(1, 60)],
        lambda: dice.randbytes(dice.randrange(1, 100)),
        lambda: b"GET / HTTP/1.1\r\n\r\n",
        lambda: frame(b'{"seen":-1}') + frame(b'{"seen":1e400}') + frame(b'{"seen":true}'),
    ]
    return b"".join(dice.choice(wrong)() for _frame in range(dice.randint(1, 5)))


@pytest.mark.parametrize("attempts", [60, pytest.param(2_000, marks=pytest.mark.long)])
def test_frames_against_the_rules_hurt_nobody_else(shop: Shop, payment: Payment, attempts: int) -> None:
    dice = random.Random(SEED)
    with shop.socket(payment.id) as bystander:
        next_document(bystander)
        for _attempt in range(attempts):
            with open_socket(shop.base_url, f"/ws/payments/{payment.id}/") as connection, suppress(OSError):
                connection.sendall(_frames(dice))
        payment.push.succeed()
        assert next_document(bystander)["status"] == "COMPLETED"
    assert shop.get("/healthz").status_code == 200


HANDSHAKES = [
    ("Sec-WebSocket-Version: 12",),
    ("Sec-WebSocket-Key: short",),
    ("Sec-WebSocket-Protocol: " + "x" * 5_000,),
    ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99",),
    ("Content-Length: 10",),
    ("Transfer-Encoding: chunked",),
    ("Cookie: sessionid=\x7f; csrftoken=" + "y" * 3_000,),
    ("Accept-Language: " + ",".join(["sw"] * 500),),
    ("X-Forwarded-For: 127.0.0.1, 127.0.0.1",),
    ("Daphne-Root-Path: /admin",),
]


@pytest.mark.parametrize("headers", HANDSHAKES, ids=range(len(HANDSHAKES)))
def test_an_odd_handshake_is_answered_or_refused(shop: Shop, payment: Payment, headers: tuple[str, ...]) -> None:
    request = handshake(f"/ws/payments/{payment.id}/", urlsplit(shop.base_url).netloc, *headers)
    status = send(shop.base_url, request)
    assert status is None or status < 500
    assert shop.get("/healthz").status_code == 200


def _origins(port: str) -> list[str]:
    """Return what is not our origin, however much it looks like it."""
    return [
        "null", "https://evil.example", f"https://127.0.0.1:{port}", "http://127.0.0.1", "http://127.0.0.1:1",
        f"http://127.0.0.1:{port}.evil.example", f"http://127.0.0.1:{port}@evil.example", f"http://evil.example:{port}",
        f"ftp://127.0.0.1:{port}", f"http://127.0.0.2:{port}", "//127.0.0.1", f"http://shop.127.0.0.1.nip.io:{port}",
    ]  # fmt: skip


def test_none_of_twelve_foreign_origins_gets_a_socket(shop: Shop, payment: Payment) -> None:
    host = urlsplit(shop.base_url).netloc
    for origin in _origins(host.split(":")[1]):
        request = handshake(f"/ws/payments/{payment.id}/", host, f"Origin: {origin}")
        assert send(shop.base_url, request) in {400, 403}, origin  # 400 where it is no origin at all
