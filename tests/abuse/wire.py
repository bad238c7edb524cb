"""Requests, frames and handshakes against the rules of HTTP and RFC 6455."""

from __future__ import annotations

import random

from tests.abuse.raw import BINARY, CLOSE, PING, PONG, TEXT, frame

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
# Of these two readers may see different ends: what one takes for the body is the next request to the other.
AMBIGUOUS = {
    *("both lengths", "two lengths", "a list of lengths", "a negative length", "a length in words"),
    *("a length with a plus", "a hidden encoding", "an unknown encoding", "a broken chunk", "a chunk of 2^63"),
}
UNDERSTOOD = {201, 400, 403, 411, 413, 415, 431, 501}


def against_the_rules(name: str, start: str, host: str) -> bytes:
    """Return one of REQUESTS after `start`, and behind it a request that nobody may answer.

    The connection may stay open only where the end is in doubt, for a server that goes on there has been deceived.
    """
    headers, body = REQUESTS[name]
    headers += "" if name in AMBIGUOUS else "Connection: close\r\n"
    smuggled = f"GET /admin/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    return (start + headers + "\r\n").encode("latin-1") + body + smuggled


def frames(dice: random.Random, *, most: int = 5) -> bytes:
    """Return one to `most` frames, each of them wrong or useless."""
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
    return b"".join(dice.choice(wrong)() for _frame in range(dice.randint(1, most)))


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


def foreign_origins(port: str) -> list[str]:
    """Return what is not our origin, however much it looks like it."""
    return [
        "null", "https://evil.example", f"https://127.0.0.1:{port}", "http://127.0.0.1", "http://127.0.0.1:1",
        f"http://127.0.0.1:{port}.evil.example", f"http://127.0.0.1:{port}@evil.example", f"http://evil.example:{port}",
        f"ftp://127.0.0.1:{port}", f"http://127.0.0.2:{port}", "//127.0.0.1", f"http://shop.127.0.0.1.nip.io:{port}",
    ]  # fmt: skip
