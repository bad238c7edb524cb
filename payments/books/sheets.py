"""CSV files that a spreadsheet opens without doing what a cell says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from payments.desk.export import BATCH, BYTE_ORDER_MARK, csv_text


def sheet(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """Return a CSV file to be saved as `name`, streamed a batch of rows at a time."""
    response = StreamingHttpResponse(_lines(head, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    response.headers["Cache-Control"] = "no-store"
    return response


async def _lines(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> AsyncIterator[bytes]:
    remaining = iter(rows)
    yield csv_text([head], start=BYTE_ORDER_MARK)
    while batch := await sync_to_async(lambda: list(islice(remaining, BATCH)))():
        yield csv_text(batch)
