"""Payments as CSV, streamed: a thousand at a time, so that a million need no more memory than a few.

A cell that a spreadsheet would run as a formula is made text. Phones are masked and names left out, unless the
export was asked for with them, which is a permission of its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q
from django.db.transaction import atomic
from django.http import QueryDict
from django.utils import timezone
from django.utils.timezone import localtime

from payments.audit import log_action
from payments.db import release_connection
from payments.models import Export, Transaction
from payments.phone_numbers import mask_local
from payments.search import Search

BATCH = 1_000  # payments
KEPT_FOR = timedelta(hours=24)  # so long the file may be fetched
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else

_HEAD = (
    "created_at", "order", "amount", "currency", "status", "reason", "told_by", "receipt", "phone", "late", "surplus",
    "refunded_amount", "completed_at", "result_code", "result_desc", "reference", "transaction_id", "order_id",
)  # fmt: skip
_HEAD_WITH_PII = ("customer_name", "customer_email")
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def begin(search: Search, *, by: AbstractBaseUser, with_pii: bool = False, why: str = "") -> Export:
    """Write down who exports what; the file follows."""
    with atomic():
        export = Export.objects.create(
            by_id=by.pk, query=search.query_string, with_pii=with_pii, why=why, payments=search.payments().count()
        )
        what = "with whole phone numbers and names" if with_pii else "masked"
        log_action(by, export, f"Exported {export.payments:,} payments, {what}: {export.query or 'all'}. {why}".strip())
    return export


async def lines(export: Export) -> AsyncIterator[bytes]:
    """Yield the file, batch by batch; between two of them no connection to the database is held."""
    after: tuple[datetime, Any] | None = None
    yield csv_text([[*_HEAD, *(_HEAD_WITH_PII if export.with_pii else ())]], start=BYTE_ORDER_MARK)
    while True:
        batch, after = await sync_to_async(_next_batch)(export, after)
        if not batch:
            return
        yield batch


def _next_batch(export: Export, after: tuple[datetime, Any] | None) -> tuple[bytes, tuple[datetime, Any] | None]:
    """Return the next payments as CSV and where they end; an empty batch ends the file."""
    try:
        found = _after(export, after)
        now = timezone.now()
        progress: dict[str, Any] = {"written": export.written + len(found)}
        progress |= {} if found else {"finished_at": now}
        progress |= {} if export.started_at else {"started_at": now}
        Export.objects.filter(pk=export.pk).update(**progress)
        for name, value in progress.items():
            setattr(export, name, value)
        if not found:
            return b"", None
        return csv_text(_cells(payment, export) for payment in found), (found[-1].created_at, found[-1].pk)
    finally:
        release_connection()


def _after(export: Export, after: tuple[datetime, Any] | None) -> list[Transaction]:
    """Return the payments that follow, by their place in the order and not by counting: that stays as quick."""
    payments = Search.of(QueryDict(export.query).dict()).payments().filter(created_at__lte=export.created_at)
    if after:
        moment, key = after
        payments = payments.filter(Q(created_at__lt=moment) | Q(pk__lt=key), created_at__lte=moment)
    return list(payments.select_related("order")[:BATCH])


def _cells(payment: Transaction, export: Export) -> Iterator[Any]:
    yield _moment(payment.created_at)
    yield payment.order.number
    yield from (payment.amount, payment.currency, payment.status, payment.reason, payment.settled_by)
    yield payment.mpesa_receipt_number or ""
    yield payment.phone_number if export.with_pii else mask_local(payment.phone_number)
    yield from (payment.late, payment.surplus, payment.refunded_amount)
    yield _moment(payment.completed_at)
    yield from (payment.result_code, payment.result_desc, payment.account_reference, payment.pk, payment.order_id)
    if export.with_pii:
        yield from (payment.order.customer_name, payment.order.customer_email)


def _moment(moment: datetime | None) -> str:
    return localtime(moment).isoformat(timespec="seconds") if moment else ""


def harmless(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_DANGEROUS) else cell


def csv_text(rows: Any, *, start: str = "") -> bytes:
    """Return rows as CSV, each cell harmless; `start` goes before them as it is."""
    out = io.StringIO()
    out.write(start)
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([harmless(cell) for cell in row])
    return out.getvalue().encode()
