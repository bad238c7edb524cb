"""M-PESA's record and ours for the tests of the books: a statement line by line, and payments beside it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

from payments.books.statement import import_statement
from payments.models import Finding, Reading, Status, Transaction
from tests.factories import make_transaction

NOON = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # noon in Nairobi
PREAMBLE = 'Organization Name,DUKA\n"Time Period","From 20-11-2026 To 20-11-2026"\n\n'
HEADER = (
    "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,"
    "Balance,Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No.\n"
)


def line(receipt: str, *, paid_in: str = "", withdrawn: str = "", **cells: str) -> str:
    row = {"at": "20-11-2026 12:00:00", "details": "Pay Bill from 2547****149 - JANE DOE Acc. X", **cells}
    buffer = io.StringIO()
    csv.writer(buffer).writerow(
        [
            *(receipt, row["at"], row["at"], row["details"], row.get("status", "Completed"), paid_in, withdrawn),
            *("1,000.00", "true", row.get("reason", "Pay Bill Online"), "2547****149 - JANE DOE"),
            *(row.get("linked", ""), row.get("account", "")),
        ]
    )
    return buffer.getvalue()


def read(*lines: str, preamble: str = PREAMBLE) -> Reading:
    data = (preamble + HEADER + "".join(lines)).encode()
    return import_statement(io.BytesIO(data), name="statement.csv")


def make_paid(receipt: str | None = "UKK0000001", *, amount: int = 1500, **fields: Any) -> Transaction:
    at = fields.pop("at", NOON)
    payment = make_transaction(
        status=Status.COMPLETED, mpesa_receipt_number=receipt, amount=amount, completed_at=at, **fields
    )
    Transaction.objects.filter(pk=payment.pk).update(created_at=at - timedelta(seconds=20))
    return payment


def found() -> list[tuple[str, str]]:
    return sorted(Finding.objects.filter(resolved_at=None).values_list("kind", "receipt"))
