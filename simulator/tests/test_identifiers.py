"""Ids and receipts carry Nairobi's clock as the real ones do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine

from simulator import identifiers, prompts


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("utc", "letters"),
    [
        ("2017-01-01T09:00", "LA1"),
        ("2026-11-23T09:00", "UKN"),
        ("2026-12-31T20:59", "ULV"),
        ("2026-12-31T21:00", "VA1"),
        ("2025-09-10T09:00", "TIA"),
    ],
)
def test_a_receipt_begins_with_letters_for_nairobis_date(utc, letters):
    receipt = identifiers.receipt(_moment(utc))
    assert receipt.startswith(letters)
    assert len(receipt) == 10
    assert receipt.isascii()
    assert receipt.isupper()


def test_a_checkout_request_id_carries_nairobis_clock_and_the_subscriber():
    checkout_request_id = identifiers.checkout_request_id("254708374149", _moment("2026-08-17T23:04:03"))
    assert checkout_request_id.startswith("ws_CO_18082026020403")
    assert checkout_request_id.endswith("708374149")
    assert len(checkout_request_id) == len("ws_CO_170820261404032708374149") + 2


def test_two_hundred_prompts_of_one_second_and_phone_get_different_ids():
    """Three digits are random: without a look at those given, some of so many would be the same."""
    push = prompts.Push("254722000001", 1, "A1", "Order", prompts.PAY_BILL, "174379", "174379", "http://shop.example/")
    with time_machine.travel(_moment("2026-11-23T09:00"), tick=False):
        ids = {prompts.open_prompt(push).checkout_request_id for _ in range(200)}
    assert len(ids) == 200
