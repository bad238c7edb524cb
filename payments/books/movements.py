"""Keep the lines of M-PESA's record, each once, however often and from whichever source it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F
from django.db.transaction import atomic

from payments.models import Movement, Reading

Kind = Movement.Kind


@dataclass(frozen=True)
class Line:
    """One completed line of M-PESA's record; amounts in cents."""

    receipt: str
    completed_at: datetime
    cents_in: int = 0
    cents_out: int = 0
    details: str = ""
    linked_receipt: str = ""
    account_reference: str = ""

    @property
    def kind(self) -> Movement.Kind:
        """A payment came in, a reversal went back to the payer; everything else is the shop's own business."""
        if "revers" in self.details.lower() and self.cents_out:
            return Kind.REVERSAL
        return Kind.PAYMENT if self.cents_in else Kind.OTHER


def keep(reading: Reading, lines: Sequence[Line], **progress: int) -> int:
    """Write a batch and how far the reading has come, in one database transaction; return how many were new.

    `progress`: `read_rows` and `read_bytes` of a file, absolute, so that two readers of one file never skip a row;
    without it the rows are counted up.
    """
    rows = {row.fingerprint: row for row in (_movement(reading, line) for line in lines)}
    with atomic():
        known = set(Movement.objects.filter(fingerprint__in=rows).values_list("fingerprint", flat=True))
        new = [row for fingerprint, row in rows.items() if fingerprint not in known]
        Movement.objects.bulk_create(new, ignore_conflicts=True)
        changes: dict[str, Any] = {"read_rows": F("read_rows") + len(lines), **progress}
        Reading.objects.filter(pk=reading.pk).update(new_rows=F("new_rows") + len(new), **changes)
    return len(new)


def _movement(reading: Reading, line: Line) -> Movement:
    facts = [reading.environment, line.receipt, line.kind, line.cents_in, line.cents_out]
    if line.kind != Kind.PAYMENT:
        facts += [line.linked_receipt, line.details]  # a charge carries the receipt of its payment
    return Movement(
        environment=reading.environment,
        reading=reading,
        fingerprint=hashlib.sha256("|".join(map(str, facts)).encode()).hexdigest(),
        kind=line.kind,
        receipt=line.receipt,
        linked_receipt=line.linked_receipt,
        account_reference=line.account_reference,
        cents_in=line.cents_in,
        cents_out=line.cents_out,
        completed_at=line.completed_at,
        details=line.details[:120],
    )
