"""Bytes on the wire, as no library of ours would send them."""

from __future__ import annotations

import base64
import os
import socket as sockets
import struct
from contextlib import suppress
from urllib.parse import urlsplit

PATIENCE = 10.0  # seconds
WORTH_AN_ANSWER = 3.0  # seconds; some requests only end with their connection
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def connect(base_url: str) -> sockets.socket:
    address = urlsplit(base_url)
    return sockets.create_connection((str(address.hostname), int(address.port or 80)), timeout=PATIENCE)


def send(base_url: str, request: bytes) -> int | None:
    """Send bytes and return the status of the answer, None when the connection was just ended."""
    with connect(base_url) as connection:
        answer = b""
        connection.settimeout(WORTH_AN_ANSWER)
        with suppress(OSError):
            connection.sendall(request)
            while b"\r\n" not in answer and (more := connection.recv(4096)):
                answer += more
    parts = answer.split(maxsplit=2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


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
