"""Bytes on the wire, as no library of ours would send them."""

from __future__ import annotations

import base64
import os
import re
import socket as sockets
import struct
import time
from contextlib import suppress
from urllib.parse import urlsplit

PATIENCE = 10.0  # seconds
CONTINUE = 100
WORTH_AN_ANSWER = 3.0  # seconds; some requests only end with their connection
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def connect(base_url: str) -> sockets.socket:
    address = urlsplit(base_url)
    return sockets.create_connection((str(address.hostname), int(address.port or 80)), timeout=PATIENCE)


def talk(base_url: str, request: bytes, *, patience: float = WORTH_AN_ANSWER) -> tuple[bytes, float]:
    """Send bytes; return all that came until the server ended the connection, and how many seconds the first took.

    A server that is silent for `patience` seconds has said what it has to say.
    """
    began, first, received = time.perf_counter(), 0.0, b""
    with connect(base_url) as connection:
        connection.settimeout(patience)
        with suppress(OSError):
            connection.sendall(request)
        with suppress(OSError):  # what came before it broke off counts
            while more := connection.recv(65_536):
                first = first or time.perf_counter() - began
                received += more
    return received, first


def statuses(received: bytes) -> list[int]:
    """Return the status of each answer in what a server sent, those that only say to go on (100) left out."""
    found = map(int, re.findall(rb"^HTTP/1\.[01] (\d{3})", received, re.MULTILINE))
    return [status for status in found if status != CONTINUE]


def frame(payload: bytes, *, opcode: int = TEXT, final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """Return one WebSocket frame (RFC 6455, 5.2), right or wrong."""
    first = (0x80 if final else 0) | (reserved << 4) | opcode
    size, mask_bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def handshake(path: str, host: str, *headers: str) -> bytes:
    """Return the request that opens a socket; `headers` come on top."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers,
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def open_socket(base_url: str, path: str) -> sockets.socket:
    """Return a connection whose handshake has been answered with 101."""
    connection = connect(base_url)
    connection.sendall(handshake(path, urlsplit(base_url).netloc))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(4096)
    assert b" 101 " in answer.split(b"\r\n")[0], answer
    return connection
