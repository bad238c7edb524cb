"""The shop and its simulator together: every number of the documented table comes to the end that it names."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from tests.client import Shop
from tests.server import running_server

EXPIRES_AFTER = 20  # seconds
AT_THE_LATEST = 3 * EXPIRES_AFTER


@dataclass(frozen=True)
class End:
    answer: int  # of the push
    status: str
    reason: str | None = None
    late: bool = False


PAID = End(201, "COMPLETED")
PAID_LATE = End(201, "COMPLETED", late=True)
PAID_UNSEEN = End(503, "COMPLETED")  # Daraja's answer to the push never came
GIVEN_UP = End(503, "FAILED", "expired")

# The last digits of 0712 000 0…; 32 is left out: after its 429 nobody asks for a minute, and others here wait to be.
ENDS = {
    1: End(201, "FAILED", "cancelled"),
    2: End(201, "FAILED", "insufficient_funds"),
    3: End(201, "FAILED", "wrong_pin"),
    4: End(201, "FAILED", "no_response"),
    5: End(201, "FAILED", "prompt_expired"),
    6: End(502, "FAILED", "busy"),
    7: End(502, "FAILED", "busy"),
    8: PAID,
    9: PAID,
    10: PAID_LATE,
    11: PAID,
    12: PAID,
    13: End(201, "FAILED", "under_review"),
    14: PAID_LATE,
    15: End(502, "FAILED", "not_sent"),
    16: PAID_UNSEEN,
    17: GIVEN_UP,
    18: End(502, "FAILED", "busy"),
    19: End(201, "FAILED", "unknown"),
    20: PAID,
    21: PAID,
    22: End(201, "FAILED", "under_review"),
    23: PAID,
    24: GIVEN_UP,
    25: End(201, "FAILED", "expired"),
    26: PAID,
    27: End(201, "FAILED", "limit"),
    28: End(201, "FAILED", "not_sent"),
    29: End(201, "FAILED", "account"),
    30: PAID_UNSEEN,
    31: PAID,
    33: End(502, "FAILED", "our_fault"),
    34: PAID,
    35: PAID,
}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    settings = {
        # After the callbacks, which come within two seconds: whichever of the two speaks first decides 13 and 22.
        "MPESA_QUERY_AFTER_SECONDS": "4",
        "MPESA_EXPIRE_AFTER_SECONDS": str(EXPIRES_AFTER),
        "DARAJA_TIMEOUT_SECONDS": "2",
        "SIMULATOR_UNREACHABLE_SECONDS": "1",
        "RATE_LIMITS": "off",
    }
    with running_server(tmp_path_factory.mktemp("simulated"), **settings) as server:
        yield Shop(server.base_url)


@pytest.fixture(scope="module")
def pushes(market: Shop) -> dict[int, requests.Response]:
    """Ask every number of the table at once, so that their waiting times pass together."""

    def push(number: int) -> requests.Response:
        return market.push(market.order()["order_id"], f"0712000{number:03d}")

    with ThreadPoolExecutor(6) as customers:
        return dict(zip(ENDS, customers.map(push, ENDS), strict=True))


@pytest.mark.parametrize(("number", "end"), ENDS.items())
def test_a_number_comes_to_its_documented_end(
    market: Shop, pushes: dict[int, requests.Response], number: int, end: End
) -> None:
    pushed = pushes[number]
    assert pushed.status_code == end.answer, pushed.text
    document = market.wait_for(pushed.json()["transaction_id"], end.status, within=AT_THE_LATEST)
    assert (document["reason"], document["late"]) == (end.reason, end.late)
    is_paid = market.order_now(document["order_id"])["status"] == "PAID"
    assert is_paid == (end.status == "COMPLETED")


def test_nothing_that_a_phone_paid_is_missing(market: Shop, pushes: dict[int, requests.Response]) -> None:
    """The simulator keeps a record of its own; what it has beyond the shop's is under review there."""
    documents = [market.status(answer.json()["transaction_id"]) for answer in pushes.values()]
    received = [document["amount"] for document in documents if document["status"] == "COMPLETED"]
    reviewed = [document["amount"] for document in documents if document["reason"] == "under_review"]
    ledger = market.get("/simulator/api/ledger/").json()
    assert ledger["count"] == len(received) + len(reviewed)
    assert ledger["amount"] == sum(received) + sum(reviewed)
