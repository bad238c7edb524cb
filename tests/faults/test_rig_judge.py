"""What the rig's customers and its judge must not mistake for a fault of the shop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from tests.faults.rig import customers
from tests.faults.rig.customers import Customer, Customers
from tests.faults.rig.faults import fault
from tests.faults.rig.history import History
from tests.faults.rig.judge import Judge

PHONE = "254790000001"


def _answer(status: int, body: str) -> requests.Response:
    answer = requests.Response()
    answer.status_code, answer._content = status, body.encode()
    return answer


def test_a_customer_whose_order_was_paid_meanwhile_looks_again_when_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks = iter([requests.ReadTimeout(), _answer(200, '{"payments": [{"transaction_id": "a"}]}')])

    def look(*args: Any, **kwargs: Any) -> requests.Response:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(customers.requests, "post", lambda *args, **kwargs: _answer(409, '{"code": "order_paid"}'))
    monkeypatch.setattr(customers.requests, "get", look)
    monkeypatch.setattr(customers, "AGAIN_AFTER", 0)
    shop: Any = SimpleNamespace(base_url="http://shop")
    people = Customers(shop, History(tmp_path / "history.jsonl"), seed=1)
    assert people._insist(Customer(PHONE, {}), "/payments/stk-push/", {}, "transaction_id") == {"transaction_id": "a"}


@pytest.mark.parametrize(("code", "counted"), [("outcome_unknown", []), ("database_unavailable", [503])])
def test_that_daraja_did_not_answer_is_no_error_of_the_shop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, counted: list[int]
) -> None:
    answer = _answer(503, f'{{"code": "{code}", "payment": {{}}, "transaction_id": "a"}}')
    monkeypatch.setattr(customers.requests, "post", lambda *args, **kwargs: answer)
    shop: Any = SimpleNamespace(base_url="http://shop")
    customer = Customer(PHONE, {})
    Customers(shop, History(tmp_path / "history.jsonl"), seed=1)._insist(customer, "/", {}, "transaction_id")
    assert customer.answers == counted


@pytest.mark.parametrize(
    ("receipt", "told", "is_settled"), [(None, 200, False), (None, 500, True), ("UAB1", 200, True)]
)
def test_a_receipt_that_was_told_is_waited_for(receipt: str | None, told: int, is_settled: bool) -> None:
    """It may be in the inbox, to be settled five seconds later; what was refused will never come."""
    prompts = {"prompts": [{"callbacks": [{"status": told}]}]}
    cluster: Any = SimpleNamespace(simulate=lambda path: prompts)
    people: Any = SimpleNamespace(all=[])
    page: Any = SimpleNamespace(version=2)
    customer = Customer(PHONE, {"delivery": "once"}, page=page)
    judge = Judge(cluster, people, 0.0, fault("F0"))
    document = {"status": "COMPLETED", "version": 2, "mpesa_receipt_number": receipt}
    assert judge._is_settled(customer, document) is is_settled
