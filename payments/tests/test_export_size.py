from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.utils import timezone

from payments.desk.export import BATCH, begin, lines
from payments.models import Export, Transaction
from payments.search import Search
from shop.models import Order

PAYMENTS = 100_000
ROOM = 16 * 1024 * 1024  # bytes; the file itself is some 20 MB


def _payments() -> Iterator[Transaction]:
    begun = timezone.now() - timedelta(days=30)
    orders = Order.objects.bulk_create((Order(amount=1500) for _ in range(PAYMENTS)), batch_size=2_000)
    for number, order in enumerate(orders):
        yield Transaction(
            order=order,
            environment=settings.MPESA_ENVIRONMENT,
            business_short_code="174379",
            phone_number=f"2547{number:08d}",
            amount=1500,
            account_reference=secrets.token_hex(6).upper(),
            checkout_request_id=f"ws_CO_{number}",
            expires_at=begun,
        )


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.long
@pytest.mark.django_db
def test_a_hundred_thousand_rows_need_no_more_memory_than_a_few(django_user_model: Any) -> None:
    Transaction.objects.bulk_create(_payments(), batch_size=2_000)
    export = begin(Search.of({}), by=django_user_model.objects.create_user("viewer"))

    async def read() -> tuple[int, list[int]]:
        size, resident = 0, []
        async for part in lines(export):
            size += len(part)
            resident.append(_resident())
        return size, resident

    size, resident = async_to_sync(read)()
    warm = resident[10_000 // BATCH]
    print(f"{size:,} bytes, memory {warm:,} after 10,000 rows, {max(resident):,} at most")
    assert Export.objects.get().written == PAYMENTS
    assert size > PAYMENTS * 150
    assert max(resident) - warm < ROOM
