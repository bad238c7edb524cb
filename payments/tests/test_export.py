from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from payments.desk import export as exporting
from payments.desk.export import harmless
from payments.models import Export, Transaction
from payments.tests.test_desk import as_tier  # noqa: F401 - a fixture
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db

EXPORT = "/admin/payments/export/"


def begin(client: Any, query: str = "", **said: str) -> str:
    """Ask for an export and return the page of its progress."""
    answer = client.post(f"{EXPORT}?{query}", said)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


async def _whole(response: Any) -> bytes:
    return b"".join([part async for part in response.streaming_content])


def rows(client: Any, progress: str) -> list[dict[str, str]]:
    """Fetch the file as a person would."""
    from asgiref.sync import async_to_sync

    response = client.post(f"{progress}file/")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(async_to_sync(_whole)(response).decode("utf-8-sig"))))


def test_the_file_holds_what_the_filter_finds(as_tier: Any, post_callback: Any) -> None:  # noqa: F811
    make_transaction()
    paid = make_transaction(phone_number="254712000777", order=make_order(customer_name="Asha", amount=2345))
    post_callback(paid)
    client = as_tier("Viewer")
    assert "1 payment is found" in client.get(f"{EXPORT}?status=COMPLETED").text
    progress = begin(client, "status=COMPLETED")
    (row,) = rows(client, progress)
    assert (row["amount"], row["status"], row["told_by"]) == ("2345", "COMPLETED", "callback")
    assert (row["receipt"], row["phone"]) == (paid.mpesa_receipt_number, "0712 ••• 777")
    assert "Asha" not in str(row)
    assert "1 of 1 payments" in client.get(progress).text
    assert "The whole file is written" in client.get(progress, headers={"X-Fragment": "1"}).text


def test_whole_numbers_are_a_permission_of_their_own_with_a_reason(as_tier: Any) -> None:  # noqa: F811
    make_transaction(phone_number="254712000777", order=make_order(customer_name="Asha"))
    assert as_tier("Agent").post(EXPORT, {"with_pii": "on", "why": "curious"}).status_code == 403
    assert not Export.objects.exists()
    client = as_tier("Supervisor")
    assert client.post(EXPORT, {"with_pii": "on"}).status_code == 400
    (row,) = rows(client, begin(client, with_pii="on", why="The books of March"))
    assert (row["phone"], row["customer_name"]) == ("254712000777", "Asha")
    message = LogEntry.objects.get().change_message
    assert "with whole phone numbers" in message
    assert "The books of March" in message


def test_who_lost_the_permission_does_not_get_the_file(as_tier: Any) -> None:  # noqa: F811
    client = as_tier("Supervisor")
    progress = begin(client, with_pii="on", why="The books of March")
    Export.objects.get().by.groups.clear()
    assert client.post(f"{progress}file/").status_code == 403


def test_an_export_is_its_owners_alone(as_tier: Any) -> None:  # noqa: F811
    progress = begin(as_tier("Supervisor"), with_pii="on", why="The books of March")
    other = as_tier("Agent")
    assert [other.get(progress).status_code, other.post(f"{progress}file/").status_code] == [404, 404]


def test_every_payment_comes_once_across_batches_and_equal_moments(
    as_tier: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "BATCH", 3)
    payments = [make_transaction() for _ in range(8)]
    Transaction.objects.filter(pk__in=[payment.pk for payment in payments[2:6]]).update(
        created_at=payments[0].created_at
    )
    client = as_tier("Viewer")
    exported = [row["transaction_id"] for row in rows(client, begin(client))]
    in_order = Transaction.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)
    assert exported == [str(key) for key in in_order]


@pytest.mark.parametrize("cell", ["=1+1", "+254", "-1", "@SUM(A1)", "\tx", "\rx", "＝1"])
def test_no_cell_runs_as_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


def test_what_m_pesa_and_customers_wrote_is_harmless_in_the_file(as_tier: Any) -> None:  # noqa: F811
    make_transaction(result_desc='=HYPERLINK("http://x")', order=make_order(customer_name="@Asha"))
    client = as_tier("Supervisor")
    (row,) = rows(client, begin(client, with_pii="on", why="The books"))
    assert row["result_desc"].startswith("'=")
    assert row["customer_name"] == "'@Asha"


def test_a_filter_that_cannot_be_read_exports_nothing(as_tier: Any) -> None:  # noqa: F811
    make_transaction()
    client = as_tier("Viewer")
    assert "Not readable" in client.get(f"{EXPORT}?from=yesterday").text
    assert rows(client, begin(client, "from=yesterday")) == []
