"""M-PESA's own list confirms what waits and brings what no confirmation told us of; and a database that is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from payments import spool
from payments.books.movements import Line
from payments.c2b import inbox
from payments.c2b.pulled import take_listed
from payments.models import Confirmation, Status, Transaction
from payments.tests.by_hand import announce, confirmation_body, pay_by_hand
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db


def line(receipt: str, account: str, amount: int = 1500) -> Line:
    return Line(
        receipt=receipt, completed_at=timezone.now(), cents_in=amount * 100, details="", account_reference=account
    )


def test_the_list_confirms_what_waits() -> None:
    order = make_order()
    announce(order.account_number, 1500, receipt="UKP8X00001")
    assert take_listed([line("UKP8X00001", order.account_number)]) == 1
    order.refresh_from_db()
    assert order.status == "PAID"
    assert take_listed([line("UKP8X00001", order.account_number)]) == 0


def test_the_list_brings_what_no_confirmation_told_us_of() -> None:
    order, payment = make_order(), make_transaction()
    lines = [line("UKP8X00002", order.account_number), line("UKP8X00003", payment.account_reference)]
    take_listed([*lines, line("UKP8X00004", "RENT")])
    order.refresh_from_db()
    payment.refresh_from_db()
    assert order.status == "PAID"
    assert (payment.status, payment.mpesa_receipt_number) == (Status.COMPLETED, "UKP8X00003")
    assert Confirmation.objects.get(trans_id="UKP8X00004").state == "unmatched"


def test_the_list_tells_whose_money_it_is() -> None:
    liar, owner = make_order(), make_order()
    announce(liar.account_number, 1500, receipt="UKP8X00005")
    take_listed([line("UKP8X00005", owner.account_number)])
    assert Transaction.objects.get().order == owner
    assert Confirmation.objects.get(order=liar).state == "refused"


def test_what_is_counted_already_costs_nothing() -> None:
    paid = pay_by_hand(make_order())
    assert take_listed([line(paid.trans_id, "whatever")]) == 0


def test_a_confirmation_waits_on_disk_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.CALLBACK_SPOOL_DIR = tmp_path
    order = make_order()
    with monkeypatch.context() as away:
        away.setattr(inbox, "_take", lambda _arrived: (_ for _ in ()).throw(OperationalError("away")))
        assert inbox.receive(confirmation_body(order.account_number, 1500, receipt="UKP8X00006"), "10.0.0.1")
        assert not inbox.receive(b"{}", None)
    assert spool.length() == 1
    assert spool.replay() == 1
    assert Confirmation.objects.get().order == order
