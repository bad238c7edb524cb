"""Short ways to open a socket as a page does and to change a payment, for the tests of this app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from django.db.models import F
from django.db.transaction import atomic

from payments.documents import Facts, load_facts
from payments.history import record
from payments.models import Source, Status, Transaction
from payments.signals import unannounced
from payments.transitions import transition
from realtime import layer
from realtime.database import read
from realtime.routing import websocket_application
from tests.communicators import Socket
from tests.factories import make_transaction

Headers = dict[str, str]


def communicator(
    path: str,
    *,
    headers: Headers | None = None,
    address: str = "10.0.0.1",
    application: Any = websocket_application,
) -> Socket:
    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    socket = Socket(application, path, headers=pairs)
    socket.scope["client"] = [address, 50_000]
    socket.scope["server"] = ["127.0.0.1", 8000]
    return socket


def path_of(transaction_id: object, query: str = "?format=json") -> str:
    return f"/ws/payments/{transaction_id}/{query}"


@asynccontextmanager
async def watching(payment: Transaction, query: str = "?format=json", **options: Any) -> AsyncIterator[Socket]:
    """Open the socket of a payment and close it again, as leaving the page does."""
    socket = communicator(path_of(payment.pk, query), **options)
    accepted, _ = await socket.connect()
    assert accepted
    try:
        yield socket
    finally:
        await socket.leave()


async def close_code(socket: Socket) -> int:
    """Open a socket that is refused and return its close code; refusals accept first."""
    accepted, _ = await socket.connect()
    assert accepted
    message = await socket.receive_output()
    assert message["type"] == "websocket.close"
    await socket.disconnect()
    return int(message["code"])


async def new_payment(**fields: Any) -> Transaction:
    return await read(make_transaction, **fields)


async def complete(payment: Transaction, receipt: str = "") -> None:
    """Complete a payment through the one door, in a thread, as a callback's view does."""
    receipt = receipt or f"R{payment.pk.hex[:9].upper()}"
    done = await read(
        transition, payment.pk, Status.COMPLETED, source=Source.CALLBACK, mpesa_receipt_number=receipt, result_code="0"
    )
    assert done


async def complete_elsewhere(payment: Transaction) -> None:
    """Complete a payment as another process does: this one hears of it through the layer alone."""

    def quietly() -> Facts | None:
        with unannounced():
            transition(payment.pk, Status.COMPLETED, source=Source.CALLBACK, result_code="0")
        return load_facts(payment.pk)

    facts = await read(quietly)
    assert facts
    assert facts["status"] == Status.COMPLETED
    await layer.send(layer.group_name(payment.pk), {"type": "payment.changed", "version": 2, "facts": facts})


async def change_elsewhere(transaction_id: UUID) -> None:
    """Write a newer version that nobody in this process announces, as another process does."""

    def change() -> None:
        with atomic():
            Transaction.objects.filter(pk=transaction_id).update(version=F("version") + 1)
            record(Transaction.objects.get(pk=transaction_id), source=Source.CALLBACK)

    await read(change)
