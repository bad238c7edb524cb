"""A payment as the load generator needs it, whatever application it belongs to.

Each application has a program that writes payments into its own database and prints one line for each of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

AMOUNT = 1500  # whole KES, in every application


@dataclass(frozen=True)
class Payment:
    """Where its page listens, and the callback that completes it."""

    socket_path: str
    callback_path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)  # of the socket, where the application asks for a session

    def request(self, port: int) -> bytes:
        """Return the callback as it goes over the wire."""
        body = json.dumps(self.body).encode()
        lines = [
            f"POST {self.callback_path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def success(*, checkout_request_id: str, merchant_request_id: str, phone_number: str, receipt: str) -> dict[str, Any]:
    """Return the body that Daraja posts when a customer has paid."""
    items = {
        "Amount": float(AMOUNT),
        "MpesaReceiptNumber": receipt,
        "TransactionDate": 20261123101530,
        "PhoneNumber": int(phone_number),
    }
    told = {
        "MerchantRequestID": merchant_request_id,
        "CheckoutRequestID": checkout_request_id,
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": {"Item": [{"Name": name, "Value": value} for name, value in items.items()]},
    }
    return {"Body": {"stkCallback": told}}


def numbered_success(number: int) -> dict[str, Any]:
    """Return the callback of an application that asks no more of its ids than that they differ."""
    return success(
        checkout_request_id=f"ws_CO_23112026101530{number:012d}",
        merchant_request_id=f"29115-{number}-1",
        phone_number=f"2547{number:08d}",
        receipt=f"SK{number:08d}",
    )


def hand_over(payments: Iterator[Payment]) -> None:
    """Print payments for `written_by`."""
    for payment in payments:
        print(json.dumps(asdict(payment)))


def written_by(module: str, count: int, environment: dict[str, str]) -> Iterator[Payment]:
    """Have the program of an application write `count` payments into its database."""
    command = [sys.executable, "-m", module, str(count)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return (Payment(**json.loads(line)) for line in done.stdout.splitlines())
