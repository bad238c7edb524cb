"""What both floors share: raw ASGI, one dictionary of sockets, one frame."""

from __future__ import annotations

import json
from typing import Any

ANSWER = b'{"ResultCode": 0, "ResultDesc": "Accepted"}'

_sends: dict[str, list[Any]] = {}  # of the open sockets, by payment


async def body_of(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def accept(send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def watch(payment_id: str, receive: Any, send: Any) -> None:
    """Keep a socket until it goes."""
    await receive()
    _sends.setdefault(payment_id, []).append(send)
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass
    _sends[payment_id].remove(send)


async def push(payment_id: str) -> None:
    frame = {"type": "websocket.send", "text": json.dumps({"transaction_id": payment_id, "status": "COMPLETED"})}
    for send in tuple(_sends.get(payment_id, ())):
        await send(frame)


def receipt_in(body: bytes) -> str:
    """Return the receipt that a callback tells, so that the floor parses what it is sent as well."""
    items = json.loads(body)["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    return str(next(item["Value"] for item in items if item["Name"] == "MpesaReceiptNumber"))


def payment_in(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
